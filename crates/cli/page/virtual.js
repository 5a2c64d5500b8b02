// A list of any length of which only the rows in sight are elements.

const SPARE = 6; // rows above and below, so that scrolling by a line shows no gap

export class VirtualList {
  #frame;
  #space;
  #rowHeight;
  #draw;
  #length = 0;
  #rows = new Map(); // index -> element
  #asked = false;

  /**
   * `frame` scrolls; rows are `rowHeight` pixels high, which the style must keep to. `draw(index)` makes a row's element.
   */
  constructor(frame, rowHeight, draw) {
    this.#frame = frame;
    this.#rowHeight = rowHeight;
    this.#draw = draw;
    this.#space = document.createElement('div');
    this.#space.className = 'space';
    this.#space.setAttribute('role', 'presentation');
    frame.append(this.#space);
    frame.addEventListener('scroll', () => this.#ask(), { passive: true });
    new ResizeObserver(() => this.#ask()).observe(frame);
  }

  get length() {
    return this.#length;
  }

  get rowsInSight() {
    return Math.max(1, Math.floor(this.#frame.clientHeight / this.#rowHeight));
  }

  get isAtEnd() {
    return this.#frame.scrollTop + this.#frame.clientHeight >= this.#frame.scrollHeight - this.#rowHeight;
  }

  set length(length) {
    this.#length = length;
    this.#space.style.height = `${length * this.#rowHeight}px`;
    this.#ask();
  }

  /** Rows have gone at the beginning: what was in sight stays there. */
  dropFirst(count, length) {
    this.redraw();
    const top = this.#frame.scrollTop;
    this.length = length;
    this.#frame.scrollTop = Math.max(0, top - count * this.#rowHeight);
  }

  /** Rows are other ones, or look different. */
  redraw() {
    for (const row of this.#rows.values()) row.remove();
    this.#rows.clear();
    this.#ask();
  }

  scrollToEnd() {
    this.#frame.scrollTop = this.#length * this.#rowHeight;
  }

  /** Scrolls as little as brings the row into sight. */
  reveal(index) {
    const top = index * this.#rowHeight;
    const { scrollTop, clientHeight } = this.#frame;
    if (top < scrollTop) this.#frame.scrollTop = top;
    else if (top + this.#rowHeight > scrollTop + clientHeight) this.#frame.scrollTop = top + this.#rowHeight - clientHeight;
    this.#update();
  }

  #ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => this.#update());
  }

  #update() {
    this.#asked = false;
    const first = Math.max(0, Math.floor(this.#frame.scrollTop / this.#rowHeight) - SPARE);
    const last = Math.min(this.#length, first + this.rowsInSight + 2 * SPARE + 1);
    for (const [index, row] of this.#rows) {
      if (index >= first && index < last) continue;
      row.remove();
      this.#rows.delete(index);
    }
    for (let index = first; index < last; index += 1) {
      if (this.#rows.has(index)) continue;
      const row = this.#draw(index);
      row.style.top = `${index * this.#rowHeight}px`;
      this.#rows.set(index, row);
      this.#space.append(row);
    }
  }
}
