// The composer: frames bit by bit, right or wrong, through a connection that the program opens for this page.

import { $, el, size } from './dom.js';
import { hex } from './frame.js';
import { onLanguage, say, sayNothing, t } from './language.js';
import { parseHex, rawFrame, toHex } from './rawframe.js';

const MOST_BYTES = 512 * 1024; // as hex it is what the program takes at once
const SHOWN_BYTES = 96;

export class RawComposer {
  #url;
  #onSending;
  #connection = null; // its number in the feed
  #socket = null;
  #file = null; // bytes of the chosen file

  /** `onSending(connection)`: bytes are about to go over the connection that the feed knows by this number. */
  constructor(url, onSending) {
    this.#url = url;
    this.#onSending = onSending;
    const form = $('raw');
    form.oninput = () => this.#preview();
    form.onsubmit = (event) => {
      event.preventDefault();
      this.#send();
    };
    $('raw-file').onchange = () => this.#read($('raw-file').files[0]);
    $('raw-new-key').onclick = () => {
      $('raw-key').value = toHex(crypto.getRandomValues(new Uint8Array(4)));
      this.#preview();
    };
    $('raw-open').onclick = () => this.#open();
    $('raw-end').onclick = () => this.#tell({ end: true });
    $('raw-drop').onclick = () => this.#tell({ drop: true });
    $('raw-new-key').onclick();
    this.#enable(false);
    onLanguage(() => this.#preview());
  }

  set mode(mode) {
    $('raw-path').value = mode === 'proxy' ? '/' : '/echo';
    $('raw-path').readOnly = mode !== 'proxy';
  }

  #open() {
    this.#socket?.close();
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    say($('raw-state'), 'raw.opening');
    socket.onopen = () => socket.send(JSON.stringify({
      open: { path: $('raw-path').value || '/', compression: $('raw-compression').checked } }));
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#heard(JSON.parse(data));
    };
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      if ($('raw-state').dataset.says === 'raw.opening') say($('raw-state'), 'raw.no_composer');
      this.#enable(false);
    };
  }

  #heard({ opened, refused, closed }) {
    if (opened) {
      const extensions = opened.extensions ? ` ${opened.extensions}` : '';
      say($('raw-state'), 'raw.opened', { connection: opened.connection, status: opened.status, extensions });
      this.#enable(opened.status === 101);
      this.#connection = opened.connection;
    }
    if (refused !== undefined) say($('raw-state'), 'raw.refused', { why: refused });
    if (closed !== undefined) say($('raw-state'), 'raw.closed', { why: closed });
    if (refused !== undefined || closed !== undefined) this.#enable(false);
  }

  #enable(open) {
    for (const id of ['raw-send', 'raw-end', 'raw-drop']) $(id).disabled = !open;
  }

  #send() {
    const frame = this.#frame();
    if (!frame || $('raw-send').disabled) return;
    this.#onSending(this.#connection);
    this.#tell({ send: toHex(frame.bytes) });
  }

  #tell(order) {
    this.#socket?.send(JSON.stringify(order));
  }

  async #read(file) {
    this.#file = null;
    if (file && file.size <= MOST_BYTES) this.#file = new Uint8Array(await file.arrayBuffer());
    $('raw-kind').value = 'file';
    this.#preview();
  }

  /** The frame as it is set, or null, with the reason on the page. */
  #frame() {
    const complain = (key) => {
      say($('raw-problem'), key);
      $('raw-problem').hidden = false;
      return null;
    };
    const kind = $('raw-kind').value;
    $('raw-payload').hidden = kind === 'file';
    $('raw-file').hidden = kind !== 'file';
    const payload = { text: () => new TextEncoder().encode($('raw-payload').value), hex: () => parseHex($('raw-payload').value), file: () => this.#file }[kind]();
    if (payload === null) return complain(kind === 'hex' ? 'raw.no_hex' : 'raw.no_file');
    if (payload.length > MOST_BYTES) return complain('raw.too_long');
    const key = $('raw-mask').checked ? parseHex($('raw-key').value) : null;
    if ($('raw-mask').checked && key?.length !== 4) return complain('raw.no_key');
    const claimed = $('raw-claim').value.trim();
    if (!/^\d*$/.test(claimed)) return complain('raw.no_length');
    const rsv = ['raw-rsv1', 'raw-rsv2', 'raw-rsv3'].reduce((bits, id) => bits * 2 + Number($(id).checked), 0);
    try {
      const frame = rawFrame({
        fin: $('raw-fin').checked, rsv, opcode: Number($('raw-opcode').value), key, payload,
        form: $('raw-form').value, claim: claimed === '' ? null : BigInt(claimed),
      });
      sayNothing($('raw-problem'));
      $('raw-problem').hidden = true;
      return frame;
    } catch (error) {
      return complain(error.key ?? 'raw.form_too_small');
    }
  }

  /** The bytes before they are sent. */
  #preview() {
    const frame = this.#frame();
    const place = $('raw-bytes');
    place.replaceChildren();
    if (!frame) return;
    const { bytes, headerLength, payloadStart } = frame;
    const part = (field, from, to) => el('b', { data: { field } }, [...bytes.slice(from, to)].map(hex).join(' '));
    place.append(part('fin', 0, 1), ' ', part('length', 1, 2), ' ', part('extended', 2, headerLength), ' ',
      part('key', headerLength, payloadStart), ' ', part('payload', payloadStart, payloadStart + SHOWN_BYTES),
      bytes.length > payloadStart + SHOWN_BYTES ? ' …' : '', ` (${size(bytes.length)})`);
    place.setAttribute('aria-label', t('raw.bytes', { size: size(bytes.length) }));
  }
}
