// The page: connects what the reader does with the connection, the list of messages and the figure.

import { Connection, closeProblem } from './connection.js';
import { $, size } from './dom.js';
import { drawFigure } from './figure.js';
import { filesOf, watchDrops } from './files.js';
import { MessageList } from './messages.js';
import { GREETING, SAMPLES } from './samples.js';
import { showState } from './state.js';
import { byteLength } from './utf8.js';

/** What `/echo` accepts at most; a larger message would only be answered with 1009. */
const LARGEST = 64 * 1024 * 1024;

let connection = null;
let extensions = '';
const unlisted = []; // sent, but not in the list yet
let shown = null; // the message in the figure; null while a draft is there

const messages = new MessageList($('messages'), {
  onFigure: (message) => showFigure(message, true),
  onSent: (message) => showFigure(message),
  onChange: (count) => {
    $('empty').hidden = count > 0;
    $('clear').hidden = count === 0;
    $('count').textContent = count > 0 ? `${count}` : '';
  },
  onArrival: (sentence) => { $('announcement').textContent = sentence; },
});

// -- The connection --

function connect() {
  complain('');
  try {
    connection = new Connection($('url').value.trim(), {
      onState: stateChanged,
      onMessage: (message) => {
        listSent();
        messages.addReceived(message);
      },
      onProgress: (message, bytes) => messages.progress(message, bytes),
    });
  } catch (error) {
    stateChanged({ state: 'refused', url: $('url').value, problem: error.message });
  }
}

function stateChanged(now) {
  listSent();
  extensions = now.extensions ?? '';
  showState(now);
  for (const control of document.querySelectorAll('[data-needs-open]')) control.disabled = now.state !== 'open';
  $('connect').disabled = now.state !== 'closed' && now.state !== 'refused';
  $('disconnect').disabled = now.state !== 'open' && now.state !== 'connecting';
  if (now.unanswered) messages.giveUp(now.unanswered);
  if (now.state === 'closed' || now.state === 'refused') connection = null;
}

function disconnect() {
  const code = $('code').value === '' ? 1000 : Number($('code').value);
  const reason = $('reason').value;
  const problem = closeProblem(code, reason);
  complain(problem ?? '', 'close-problem');
  if (!problem) connection?.close(code, reason);
}

// -- Sending --

function send(payload) {
  const kind = typeof payload === 'string' ? 'text' : 'binary';
  const bytes = kind === 'text' ? byteLength(payload) : payload.size;
  const what = kind === 'text' ? 'This text' : `“${payload.name}”`;
  if (bytes > LARGEST) {
    return complain(`${what} has ${size(bytes, { long: true })}; a message may have ${size(LARGEST, { long: true })} at most.`);
  }
  if (!connection?.isOpen) return complain('Not connected: connect first, then send.');
  const message = { kind, bytes, payload };
  complain('');
  connection.send(message);
  unlisted.push(message);
  setTimeout(listSent, 10);
  return true;
}

/** Drawing a message takes longer than a quick echo needs, and would be measured with it: so it waits for a moment. */
function listSent() {
  for (const message of unlisted.splice(0)) messages.addSent(message);
}

function sendTyped() {
  if (send($('text').value)) $('text').value = '';
}

function sendFiles(files) {
  for (const file of files) if (!send(file)) return;
}

function complain(sentence, id = 'problem') {
  if ($(id).textContent !== sentence) $(id).textContent = sentence;
  $(id).hidden = sentence === '';
}

// -- The figure --

function showFigure(message, asked = false) {
  shown?.figureButton.setAttribute('aria-pressed', 'false');
  shown = message;
  message.figureButton.setAttribute('aria-pressed', 'true');
  const { number, kind, bytes, payload, name } = message;
  const title = kind === 'text' ? quote(payload) : name;
  draw({ number, title, kind, bytes, beginning: kind === 'text' ? payload : message.beginning });
  if (asked) $('figure').scrollIntoView({ block: 'nearest' });
}

/** While the reader types, the figure shows what the text would become. */
function showDraft() {
  shown?.figureButton.setAttribute('aria-pressed', 'false');
  shown = null;
  const text = $('text').value;
  const draft = text === '' ? GREETING : text;
  const label = text === '' ? 'For example.' : 'Not sent yet.';
  draw({ label, title: quote(draft), kind: 'text', bytes: byteLength(draft), beginning: draft });
}

const draw = (subject) => drawFigure($('figure'), subject, extensions);

function quote(text) {
  const beginning = [...text.slice(0, 60)].slice(0, 24).join('').replace(/\s+/g, ' ');
  return `“${beginning}${beginning.length < text.length ? '…' : ''}”`;
}

// -- What the reader does --

$('connection').onsubmit = (event) => {
  event.preventDefault();
  if (!$('connect').disabled) connect();
};
$('closing').onsubmit = (event) => {
  event.preventDefault();
  if (!$('disconnect').disabled) disconnect();
};
$('composer').onsubmit = (event) => {
  event.preventDefault();
  sendTyped();
};
$('text').onkeydown = (event) => {
  // While an input method composes a Chinese word, Enter belongs to it.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  sendTyped();
};
$('text').oninput = showDraft;
$('text').onpaste = (event) => {
  const files = filesOf(event.clipboardData);
  if (files.length === 0) return;
  event.preventDefault();
  sendFiles(files);
};
$('file').onchange = () => {
  sendFiles([...$('file').files]);
  $('file').value = ''; // so that the same file can be chosen again
};
$('clear').onclick = () => {
  messages.clear();
  showDraft();
  $('text').focus();
};
for (const button of document.querySelectorAll('[data-sample]')) {
  button.onclick = () => send(SAMPLES[button.dataset.sample]());
}
watchDrops(sendFiles);

$('url').value = `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/echo`;
showDraft();
connect();
