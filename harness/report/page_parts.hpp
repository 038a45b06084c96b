// The page's style sheet and script, as they stand in report/page/.
#pragma once

namespace framefold {

const char* page_style();
const char* page_script();

}  // namespace framefold
