// Throughput by the second and round trips from Ping to Pong, each as a line one takes in at a glance.

import { $, milliseconds, size, svg } from './dom.js';
import { onLanguage, t } from './language.js';

const SECONDS = 60;
const MOST_TRIPS = 60;
const MOST_WAITING = 1000; // Pings without an answer
const [WIDTH, HEIGHT] = [240, 32];

export class Sparklines {
  #bytes = new Map(); // second -> bytes in both directions
  #pings = new Map(); // connection, sender and payload -> seconds
  #trips = []; // in milliseconds
  #latest = null; // the time of the newest entry, and when the page got it

  constructor(store) {
    store.watch({ added: (entries) => this.#added(entries), cleared: () => this.#clear() });
    setInterval(() => this.#draw(), 1000);
    onLanguage(() => this.#draw());
  }

  #added(entries) {
    for (const entry of entries) {
      const second = Math.floor(entry.seconds);
      this.#bytes.set(second, (this.#bytes.get(second) ?? 0) + entry.size);
      if (entry.kind === 'ping') this.#ping(entry);
      if (entry.kind === 'pong') this.#pong(entry);
    }
    const newest = Math.max(this.#latest?.seconds ?? 0, entries.at(-1).seconds);
    this.#latest = { seconds: newest, at: performance.now() };
    for (const second of this.#bytes.keys()) if (second < newest - SECONDS) this.#bytes.delete(second);
  }

  #ping({ connection, from, payload, seconds }) {
    this.#pings.set(`${connection} ${from} ${payload}`, seconds);
    if (this.#pings.size > MOST_WAITING) this.#pings.delete(this.#pings.keys().next().value);
  }

  #pong({ connection, from, payload, seconds }) {
    const key = `${connection} ${from === 'client' ? 'server' : 'client'} ${payload}`;
    const asked = this.#pings.get(key);
    if (asked === undefined) return;
    this.#pings.delete(key);
    this.#trips.push((seconds - asked) * 1000);
    if (this.#trips.length > MOST_TRIPS) this.#trips.shift();
  }

  #clear() {
    this.#bytes.clear();
    this.#pings.clear();
    this.#trips = [];
    this.#latest = null;
    this.#draw();
  }

  #draw() {
    if (this.#latest === null) return void $('sparklines').replaceChildren();
    const now = Math.floor(this.#latest.seconds + (performance.now() - this.#latest.at) / 1000);
    const rates = Array.from({ length: SECONDS }, (_, i) => this.#bytes.get(now - SECONDS + 1 + i) ?? 0);
    const lines = [line('throughput', rates, t('spark.throughput', { size: size(rates.at(-2)), most: size(Math.max(...rates)) }))];
    if (this.#trips.length > 0) {
      lines.push(line('round-trip', this.#trips, t('spark.round_trip', { time: milliseconds(this.#trips.at(-1)) })));
    }
    $('sparklines').replaceChildren(...lines);
  }
}

function line(name, values, sentence) {
  const most = Math.max(...values) || 1;
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1)}`);
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': sentence },
    svg('polyline', { points: points.join(' '), class: name }));
  const figure = document.createElement('div');
  figure.className = 'sparkline';
  figure.append(picture, sentence);
  return figure;
}
