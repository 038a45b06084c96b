// The scrubber. Each <section data-run> holds a player without contents and, as JSON, what run_data.cpp wrote:
//   runs: moments [kind, step, address, place, text, mask, pending, depth, registers, words, frames, again, copies?], where
//   registers and words are [key, value, ...] of what changed, frames and again are 0 where they did not, and place and text are
//   indices into texts; pairs: [nested, reference] moments that stand side by side, -1 for none.
'use strict';

(() => {
  const kindClass = ['', 'arrival', 'delivery', '', 'fold', '', 'window', 'window', '', 'resumption', 'violation'];
  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // The machine at a moment: every change up to it, from the beginning. Runs are short.
  const machineAt = (moments, index) => {
    const machine = {registers: [], words: new Map(), frames: [], again: new Map(), changed: new Set(), changedWords: new Set()};
    for (let i = 0; i <= index; ++i) {
      const [, , , , , , , , registers, words, frames, again] = moments[i];
      for (let r = 0; r < registers.length; r += 2) {
        machine.registers[registers[r]] = registers[r + 1];
        if (i === index) machine.changed.add(registers[r]);
      }
      for (let w = 0; w < words.length; w += 2) {
        machine.words.set(words[w], words[w + 1]);
        if (i === index) machine.changedWords.add(words[w]);
      }
      if (frames !== 0) machine.frames = frames;
      if (again !== 0) machine.again = new Map(again);
    }
    machine.pointer = parseInt(machine.registers[4], 16);  // RSP, in the order of the instruction encoding
    return machine;
  };

  class Player {
    constructor(section) {
      this.section = section;
      this.data = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
      this.stacks = this.data.stacks.map(([name, begin, end]) => ({name, begin: parseInt(begin, 16), end: parseInt(end, 16)}));
      this.slots = new Map(this.data.slots);
      this.word = this.data.wide ? 8 : 4;
      this.at = 0;
      this.build();
      this.show(this.firstInteresting());
    }

    firstInteresting() {
      const at = this.data.pairs.findIndex(([nested]) => nested >= 0 && this.data.runs.nested[nested][0] === 1);
      return at < 0 ? 0 : at;
    }

    build() {
      const player = this.section.querySelector('.player');
      player.hidden = false;
      player.tabIndex = 0;
      const controls = element('div', 'controls');
      const button = (label, title, action) => {
        const made = element('button', '', label);
        made.type = 'button';
        made.title = title;
        made.addEventListener('click', action);
        controls.append(made);
      };
      button('|◀', 'First (Home)', () => this.show(0));
      button('◀', 'Back (Left)', () => this.show(this.at - 1));
      button('▶', 'On (Right)', () => this.show(this.at + 1));
      button('▶|', 'Last (End)', () => this.show(this.data.pairs.length - 1));
      button('◀ event', 'The last that is no plain instruction (p)', () => this.next(-1));
      button('event ▶', 'The next that is no plain instruction (n)', () => this.next(1));
      this.range = element('input');
      this.range.type = 'range';
      this.range.min = 0;
      this.range.max = this.data.pairs.length - 1;
      this.range.setAttribute('aria-label', 'moment of the runs');
      this.range.addEventListener('input', () => this.show(Number(this.range.value)));
      controls.append(this.range);
      this.count = element('span', 'mono');
      controls.append(this.count);
      player.append(controls);
      const sides = element('div', 'sides');
      this.side = {nested: this.buildSide(sides, 'Nested run'), reference: this.buildSide(sides, 'Reference run')};
      this.code = this.buildCode(sides);
      player.append(sides);
      this.section.addEventListener('keydown', (event) => this.key(event));
    }

    buildSide(sides, title) {
      const side = element('div');
      side.append(element('h3', '', title));
      const parts = {what: element('div', 'what'), registers: element('div', 'registers'), stack: element('div', 'scroll')};
      side.append(parts.what, parts.registers, parts.stack);
      sides.append(side);
      return parts;
    }

    buildCode(sides) {
      const side = element('div');
      side.append(element('h3', '', 'Code, coloured by what comes of an event there'));
      const key = document.querySelector('.key');
      if (key) side.append(key.cloneNode(true));
      const scroll = element('div', 'scroll tall');
      const table = element('table');
      const rows = new Map();
      for (const [address, place, text, source, outcome, signature] of this.data.code) {
        const row = element('tr');
        const cell = element('td', outcome ? `o${outcome}` : '', place);
        if (signature) cell.title = signature;
        row.append(cell, element('td', '', text), element('td', '', source));
        rows.set(address, row);
        table.append(row);
      }
      scroll.append(table);
      side.append(scroll);
      sides.append(side);
      return {rows, scroll, current: null};
    }

    key(event) {
      const inRange = event.target === this.range;
      const actions = {
        ArrowRight: () => this.show(this.at + 1), ArrowLeft: () => this.show(this.at - 1),
        Home: () => this.show(0), End: () => this.show(this.data.pairs.length - 1),
        n: () => this.next(1), p: () => this.next(-1),
      };
      if (!actions[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
      if (inRange && event.key.length > 1 && event.key !== 'Home' && event.key !== 'End') return;  // its own keys do the same
      actions[event.key]();
      event.preventDefault();
    }

    next(step) {
      for (let at = this.at + step; at >= 0 && at < this.data.pairs.length; at += step) {
        const [nested, reference] = this.data.pairs[at];
        const moment = nested >= 0 ? this.data.runs.nested[nested] : this.data.runs.reference[reference];
        if (moment[0] !== 0) { this.show(at); return; }
      }
    }

    show(at) {
      this.at = Math.max(0, Math.min(at, this.data.pairs.length - 1));
      this.range.value = this.at;
      this.count.textContent = `${this.at + 1} of ${this.data.pairs.length}`;
      const [nested, reference] = this.data.pairs[this.at];
      const a = this.machine('nested', nested);
      const b = this.machine('reference', reference);
      this.showSide('nested', nested, a, b);
      this.showSide('reference', reference, b, a);
      const moment = nested >= 0 ? this.data.runs.nested[nested] : this.data.runs.reference[reference];
      this.showCode(moment[2]);
    }

    machine(run, index) {
      if (index < 0) return null;
      const machine = machineAt(this.data.runs[run], index);
      machine.low = this.lowest(machine);
      return machine;
    }

    // Live words: on the current stack from the stack pointer up; on another, from the lowest frame.
    lowest(machine) {
      const low = new Map();
      for (const stack of this.stacks) {
        const inside = (address) => address >= stack.begin && address < stack.end;
        if (inside(machine.pointer)) { low.set(stack.name, machine.pointer); continue; }
        const bases = machine.frames.map((frame) => parseInt(frame[1], 16)).filter(inside);
        if (bases.length) low.set(stack.name, Math.min(...bases));
      }
      return low;
    }

    showSide(run, index, machine, other) {
      const side = this.side[run];
      side.what.replaceChildren();
      side.registers.replaceChildren();
      side.stack.replaceChildren();
      if (!machine) {
        side.what.append(element('span', 'faint', run === 'reference' ? 'The reference run has no such moment.' : 'Only the reference run is here.'));
        return;
      }
      const [kind, step, , place, text, mask, pending, depth] = this.data.runs[run][index];
      const line = element('div', `mono ${kindClass[kind]}`, `${step}  ${this.data.texts[place]}: ${this.data.texts[text]}`);
      side.what.append(line, element('div', 'mono', `mask ${mask.toString(16)}  pending ${pending.toString(16)}  deliveries ${depth}`));
      this.data.registers.forEach((name, i) => {
        const value = machine.registers[i];
        const unlike = other && other.registers[i] !== value;
        const classes = [machine.changed.has(i) ? 'changed' : '', unlike ? 'unlike' : ''].join(' ').trim();
        side.registers.append(element('span', classes, `${name.padEnd(6)} ${value}`));
      });
      side.stack.append(this.drawStack(machine, other));
    }

    drawStack(machine, other) {
      const table = element('table', 'stack');
      for (const stack of this.stacks) {
        if (!machine.low.has(stack.name)) continue;
        const head = element('tr', 'frame');
        const cell = element('td', '', `${stack.name} stack`);
        cell.colSpan = 3;
        head.append(cell);
        table.append(head);
        let inFrame = -2;
        for (let address = stack.end - this.word; address >= machine.low.get(stack.name); address -= this.word) {
          const value = machine.words.get(address.toString(16));
          if (value === undefined) continue;
          const frame = this.frameOf(machine, address);
          if (frame !== inFrame && frame >= 0) {
            const title = element('tr', 'frame');
            const name = element('td', '', `frame ${frame}: ${machine.frames[frame][0]}, interrupted ${this.data.texts[machine.frames[frame][3]]}`);
            name.colSpan = 3;
            title.append(name);
            table.append(title);
          }
          inFrame = frame;
          const base = frame >= 0 ? parseInt(machine.frames[frame][1], 16) : 0;
          const row = element('tr', `${frame >= 0 ? `f${frame % 4}` : ''} ${address === machine.pointer ? 'top' : ''}`.trim());
          const unlike = other && other.words.get(address.toString(16)) !== value;
          row.append(element('td', '', `+${(address - stack.begin).toString(16)}`),
                     element('td', '', frame >= 0 ? this.nameOf(machine, address, address - base) : ''),
                     element('td', [machine.changedWords.has(address.toString(16)) ? 'changed' : '', unlike ? 'unlike' : ''].join(' ').trim(), value));
          table.append(row);
        }
      }
      return table;
    }

    // What the exit has pushed where it had popped slots has names of its own.
    nameOf(machine, address, offset) {
      const again = machine.again.get(address.toString(16));
      return again === undefined ? this.slots.get(offset) || '' : this.data.texts[again];
    }

    frameOf(machine, address) {
      for (let i = machine.frames.length - 1; i >= 0; --i) {
        const base = parseInt(machine.frames[i][1], 16);
        if (address >= base && address < base + machine.frames[i][2]) return i;
      }
      return -1;
    }

    showCode(address) {
      if (this.code.current) this.code.current.classList.remove('now');
      this.code.current = this.code.rows.get(address) || null;
      if (!this.code.current) return;
      this.code.current.classList.add('now');
      const middle = this.code.current.offsetTop - this.code.scroll.clientHeight / 2;
      this.code.scroll.scrollTop = Math.max(0, middle);
    }
  }

  document.querySelector('.keys').hidden = false;
  for (const section of document.querySelectorAll('section[data-run]')) section.player = new Player(section);
})();
