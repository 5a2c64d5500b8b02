// Shows what a message carries: text as text, a picture, a sound or a video where it stands, anything else as a file.

import { el, size, telling } from './dom.js';
import { say, t } from './language.js';

const PREVIEW = 240; // characters shown of a text longer than LONG
const LONG = 480;
const TOO_LONG_TO_LAY_OUT = 2_000_000; // beyond it a browser is busy for seconds; such a text is offered as a file

/** Puts the payload into `place` and returns a function that lets go of it. */
export function showPayload(place, message) {
  const urls = [];
  const urlFor = (blob) => {
    urls.push(URL.createObjectURL(blob));
    return urls.at(-1);
  };
  if (message.kind === 'text') place.append(...textView(message.payload, urlFor));
  else place.append(...fileView(message, urlFor));
  return () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
}

function textView(text, urlFor) {
  if (text === '') return [telling('p', 'payload.empty', {}, { class: 'file' })];
  const block = el('pre', { class: 'text', dir: 'auto' }, text.length > LONG ? `${head(text)}…` : text);
  if (text.length <= LONG) return [block];
  if (text.length > TOO_LONG_TO_LAY_OUT) return [block, saveLink(new Blob([text]), 'message.txt', urlFor)];

  const toggle = telling('button', 'payload.all', {}, { type: 'button', class: 'quiet', 'aria-expanded': 'false' });
  toggle.onclick = () => {
    const open = toggle.getAttribute('aria-expanded') === 'false';
    toggle.setAttribute('aria-expanded', String(open));
    say(toggle, open ? 'payload.less' : 'payload.all');
    block.textContent = open ? text : `${head(text)}…`;
  };
  return [block, toggle];
}

/** The beginning of a text, not cut inside a surrogate pair. */
const head = (text) => text.slice(0, PREVIEW).replace(/[\ud800-\udbff]$/, '');

function fileView({ payload, type, name }, urlFor) {
  const views = [saveLink(payload, name, urlFor)];
  const [family] = type.split('/');
  const show = { image: picture, video: film, audio: sound }[family];
  if (show) {
    const media = show(urlFor(payload.slice(0, payload.size, type)), name);
    media.onerror = () => media.replaceWith(telling('p', 'payload.cannot', {}, { class: 'file' }));
    views.unshift(media);
  }
  return views;
}

function picture(src, name) {
  const image = el('img', { src, alt: name, class: 'media' });
  // A handful of pixels is worth seeing as pixels.
  image.onload = () => image.classList.toggle('pixels', image.naturalWidth <= 16 && image.naturalHeight <= 16);
  return image;
}

const film = (src, name) => el('video', {
  src, controls: true, muted: true, playsInline: true, preload: 'auto', class: 'media', 'aria-label': name,
});
const sound = (src, name) => el('audio', { src, controls: true, preload: 'metadata', 'aria-label': name });

/** A link that saves and never opens: as bytes without a type, no file can become a page of this origin. */
function saveLink(blob, name, urlFor) {
  const href = urlFor(blob.slice(0, blob.size, 'application/octet-stream'));
  return el('p', { class: 'file' }, el('a', { href, download: name, class: 'save' }, t('payload.save', { name })), ` ${size(blob.size)}`);
}

/** What a file begins with, where the browser or the other side did not say what it is. */
const SIGNATURES = [
  [/^\x89PNG\r\n/, 'image/png', 'png'],
  [/^\xff\xd8\xff/, 'image/jpeg', 'jpg'],
  [/^GIF8/, 'image/gif', 'gif'],
  [/^RIFF....WEBP/s, 'image/webp', 'webp'],
  [/^....ftypavif/s, 'image/avif', 'avif'],
  [/^....ftyp/s, 'video/mp4', 'mp4'],
  [/^\x1a\x45\xdf\xa3/, 'video/webm', 'webm'],
  [/^%PDF-/, 'application/pdf', 'pdf'],
];

/** Completes a binary message with a name and a type: its own, those of the message it echoes, or what its bytes say. */
export async function describe(message, fallback) {
  const bytes = new Uint8Array(await message.payload.slice(0, 32).arrayBuffer());
  const found = SIGNATURES.find(([pattern]) => pattern.test(String.fromCharCode(...bytes)));
  message.beginning = bytes;
  message.type = message.payload.type || message.answers?.payload.type || found?.[1] || '';
  message.name = message.payload.name || message.answers?.payload.name || `${fallback}.${found?.[2] ?? 'bin'}`;
}

/** Compares two payloads piece by piece, so that two files of 64 MiB are never in memory as a whole. */
export async function samePayload(one, other) {
  if (typeof one === 'string') return one === other;
  if (one.size !== other.size) return false;
  const step = 1 << 20;
  for (let at = 0; at < one.size; at += step) {
    const [a, b] = await Promise.all([one, other].map((blob) => blob.slice(at, at + step).arrayBuffer()));
    const [left, right] = [new Uint8Array(a), new Uint8Array(b)];
    for (let i = 0; i < left.length; i += 1) if (left[i] !== right[i]) return false;
  }
  return true;
}
