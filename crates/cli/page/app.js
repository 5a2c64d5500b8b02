// The page: connects what the reader does with the connection, the list of messages, the inspector and the figure.

import { Connection, closeProblem } from './connection.js';
import { $, size } from './dom.js';
import { drawEntry } from './detail.js';
import { drawFigure } from './figure.js';
import { filesOf, watchDrops } from './files.js';
import { Inspector } from './inspector.js';
import { chooseLanguage, onLanguage, say, sayNothing, startLanguage, t } from './language.js';
import { MessageList } from './messages.js';
import { GREETING, SAMPLES } from './samples.js';
import { showState } from './state.js';
import { byteLength } from './utf8.js';

/** What `/echo` accepts at most; a larger message would only be answered with 1009. */
const LARGEST = 64 * 1024 * 1024;

let connection = null;
let extensions = '';
const unlisted = []; // sent, but not in the list yet
let shown = null; // the message in the figure; null while a draft or a frame of somebody else is there

startLanguage();

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

const inspector = new Inspector({
  // Only what is opened after the feed has begun is in it; and behind a proxy there is no echo to talk to.
  onReady: (hello) => {
    if (hello?.mode !== 'proxy') connect();
  },
  onSelect: () => press(null),
  onOwnFrame: (key) => {
    if (shown?.key === key) showFigure(shown);
  },
});

// -- The connection --

function connect() {
  complain(null);
  const url = $('url').value.trim();
  try {
    connection = new Connection(url, inspector.own.address(url), {
      onState: stateChanged,
      onMessage: (message) => {
        listSent();
        messages.addReceived(message);
      },
      onProgress: (message, bytes) => messages.progress(message, bytes),
    });
  } catch (error) {
    stateChanged({ state: 'refused', url, problem: error.message });
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
  complain(problem, 'close-problem');
  if (!problem) connection?.close(code, reason);
}

// -- Sending --

function send(payload) {
  const kind = typeof payload === 'string' ? 'text' : 'binary';
  const bytes = kind === 'text' ? byteLength(payload) : payload.size;
  if (bytes > LARGEST) {
    const values = { name: payload.name, size: size(bytes, { long: true }), most: size(LARGEST, { long: true }) };
    return complain([kind === 'text' ? 'send.text_too_big' : 'send.file_too_big', values]);
  }
  if (!connection?.isOpen) return complain(['send.not_connected']);
  const message = { kind, bytes, payload };
  complain(null);
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

/** `problem`: words and their values, or null where there is none (any more). */
function complain(problem, id = 'problem') {
  if (problem) say($(id), ...problem);
  else sayNothing($(id));
  $(id).hidden = !problem;
}

// -- The figure --

/** Marks the button of the message that the figure shows. */
function press(message) {
  shown?.figureButton.setAttribute('aria-pressed', 'false');
  shown = message;
  shown?.figureButton.setAttribute('aria-pressed', 'true');
}

/** The message as it passed, if the feed tells of it; until then as the browser must have sent it. */
function showFigure(message, asked = false) {
  const entry = inspector.own.find(message.key);
  if (entry) {
    inspector.select(entry, message.number);
    press(message);
  } else {
    press(message);
    inspector.deselect();
    const { number, kind, bytes, payload, name } = message;
    const title = kind === 'text' ? quote(payload) : name;
    draw({ number, title, kind, bytes, beginning: kind === 'text' ? payload : message.beginning });
  }
  if (asked) $('figure').scrollIntoView({ block: 'nearest' });
}

/** While the reader types, the figure shows what the text would become. */
function showDraft() {
  press(null);
  inspector.deselect();
  const text = $('text').value;
  const draft = text === '' ? GREETING : text;
  const label = t(text === '' ? 'figure.example' : 'figure.draft');
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
for (const button of document.querySelectorAll('[data-language]')) {
  button.onclick = () => chooseLanguage(button.dataset.language);
}
watchDrops(sendFiles);
onLanguage(() => {
  if (shown) showFigure(shown);
  else if (inspector.selected) drawEntry($('figure'), inspector.selected, inspector.store);
  else showDraft();
});

$('url').value = `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/echo`;
if (!inspector.selected) showDraft();
