#!/usr/bin/env python3
"""Installs framefold, builds a project that knows it by its package alone, runs that project's tests, and holds the reports that
they write against what CI servers read: SARIF 2.1.0 (OASIS; sections below are its own), and JUnit's XML."""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent

failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)


def run(*command):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def must(*command):
    status, text = run(*command)
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {status}\n{text}")


def check_location(location, what):
    place = location["physicalLocation"]  # 3.28.3
    uri = place["artifactLocation"]["uri"]  # 3.4.3: RFC 3986
    expect(re.fullmatch(r"(file://)?([A-Za-z0-9/._~-]|%[0-9A-F]{2})+", uri), f"{what}: uri {uri}")
    expect(uri.startswith("file:///") or not uri.startswith("/"), f"{what}: an absolute path has a scheme: {uri}")
    expect(place["region"]["startLine"] >= 1, f"{what}: startLine")  # 3.30.5


def check_sarif(path):
    """Gives the rules of its results."""
    log = json.loads(path.read_text())
    expect(log["version"] == "2.1.0", f"{path.name}: version")  # 3.13.2
    expect(len(log["runs"]) == 1, f"{path.name}: runs")  # 3.13.4
    run_object = log["runs"][0]
    driver = run_object["tool"]["driver"]  # 3.14.6, 3.18.2
    expect(driver["name"] == "framefold", f"{path.name}: tool")
    rules = [rule["id"] for rule in driver["rules"]]  # 3.49.3
    expect(len(rules) == len(set(rules)), f"{path.name}: rules are distinct")
    for rule in driver["rules"]:
        for message in ("shortDescription", "fullDescription", "help"):
            expect(rule.get(message, {"text": "."})["text"], f"{path.name}: {rule['id']}: {message}")  # 3.12.3
    expect(all(isinstance(i["executionSuccessful"], bool) for i in run_object["invocations"]), f"{path.name}: 3.20.14")
    for result in run_object["results"]:
        what = f"{path.name}: {result['ruleId']}"
        expect(result["ruleId"] in rules, f"{what}: a rule of the tool")  # 3.27.5
        expect(result["level"] in ("none", "note", "warning", "error"), f"{what}: level")  # 3.27.10
        expect(result["message"]["text"], f"{what}: message")  # 3.27.11
        expect(result["locations"], f"{what}: locations")
        for location in result["locations"]:
            check_location(location, what)
        for suppression in result.get("suppressions", []):
            expect(suppression["kind"] in ("inSource", "external"), f"{what}: 3.35.2")
    return [result["ruleId"] for result in run_object["results"]], run_object["invocations"][0]["executionSuccessful"]


def check_junit(path):
    """Gives the numbers of tests, failures and errors."""
    root = ElementTree.parse(path).getroot()
    expect(root.tag == "testsuites", f"{path.name}: root")
    counts = [0, 0, 0]
    for suite in root:
        expect(suite.tag == "testsuite" and suite.get("name"), f"{path.name}: suite")
        cases = list(suite)
        expect(all(c.tag == "testcase" and c.get("name") and c.get("classname") for c in cases), f"{path.name}: cases")
        found = [len(cases), len(suite.findall("testcase/failure")), len(suite.findall("testcase/error"))]
        expect(found == [int(suite.get(key)) for key in ("tests", "failures", "errors")], f"{path.name}: counts")
        for bad in suite.findall("testcase/failure") + suite.findall("testcase/error"):
            expect(bad.get("message") and bad.get("type"), f"{path.name}: message and type")
        counts = [a + b for a, b in zip(counts, found)]
    return counts


def check_reports(reports):
    expect(check_junit(reports / "right.xml") == [1, 0, 0], "right.xml: one that passes")
    expect(check_sarif(reports / "right.sarif") == ([], True), "right.sarif: nothing")
    tests, failed, errors = check_junit(reports / "wrong.xml")
    expect((tests, errors) == (failed, 0) and failed > 0, "wrong.xml: each fails")
    rules, successful = check_sarif(reports / "wrong.sarif")
    expect("unbounded-nesting" in rules and len(rules) == failed and successful, "wrong.sarif: each is a result")


def check_misdescribed(build, reports):
    """Its reports are of this run, not of one before."""
    junit, sarif = reports / "misdescribed.xml", reports / "misdescribed.sarif"
    expect(check_junit(junit) == [1, 0, 1], "misdescribed.xml: an error")
    expect(check_sarif(sarif) == (["wrong-description"], False), "misdescribed.sarif: the line")
    line = json.loads(sarif.read_text())["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"]
    said = (build / "misdescribed.entry" / "entry.toml").read_text().splitlines()[line - 1]
    expect(said == 'argument = "rsi"', f"misdescribed.sarif: line {line} is {said}")


def check_guide(options, home):
    """The project of entry/BRING-YOUR-OWN.md, word for word."""
    root = HERE.parent.parent.parent
    blocks = re.findall(r"^```cmake\n(.*?)^```$", (root / "entry" / "BRING-YOUR-OWN.md").read_text(), re.M | re.S)
    expect(len(blocks) == 1, "the guide has one CMakeLists.txt")
    folder = home / "guide"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(blocks[0])
    must("gcc", "-c", "-x", "assembler-with-cpp", "-o", folder / "padded64.o", HERE.parent / "byo" / "padded64.S")
    must(home / "prefix" / "bin" / "framefold", "new", folder / "padded64.o", "-o", folder / "entry.toml")
    status, text = run(options.cmake, "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={home / 'prefix'}")
    expect(status == 0 and "Warning" not in text, f"the guide's project: {text}")
    must(options.ctest, "--test-dir", folder / "build")
    expect(check_junit(folder / "build" / "reports" / "padded64.xml") == [1, 0, 0], "the guide's reports")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--ctest", default="ctest")
    parser.add_argument("--build", required=True, help="framefold's build folder")
    options = parser.parse_args()
    os.environ["ASAN_OPTIONS"] = "detect_leaks=0"
    with tempfile.TemporaryDirectory(prefix="framefold package-") as folder:  # with a blank in its name
        home = pathlib.Path(folder)
        build = home / "build"
        must(options.cmake, "--install", options.build, "--prefix", home / "prefix")
        must(options.cmake, "-S", HERE, "-B", build, f"-DCMAKE_PREFIX_PATH={home / 'prefix'}",
             f"-DFRAMEFOLD_BYO={HERE.parent / 'byo'}")
        must(options.cmake, "--build", build)
        (build / "reports" / "misdescribed.xml").write_text("of a run before")
        status, text = run(options.ctest, "--test-dir", build, "--output-junit", home / "ctest.xml")
        expect(status != 0, "the outside project's tests fail")
        outcomes = {c.get("name"): c.get("status") for c in ElementTree.parse(home / "ctest.xml").getroot().iter("testcase")}
        expect(outcomes == {"framefold.right.check": "run", "framefold.right.explore": "run", "framefold.wrong.check": "run",
                            "framefold.wrong.explore": "fail", "framefold.misdescribed.check": "fail",
                            "framefold.misdescribed.explore": "fail", "framefold.unreported.check": "fail",
                            "framefold.unreported.explore": "notrun"}, f"{outcomes}\n{text}")
        check_reports(build / "reports")
        check_misdescribed(build, build / "reports")
        check_guide(options, home)
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
