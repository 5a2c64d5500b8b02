// The connection's state, as a word on the track of RFC 6455 (connecting, open, closing, closed) and as a sentence.

import { closeCodeName } from './connection.js';
import { $ } from './dom.js';

const SENTENCES = {
  connecting: ({ url }) => `Connecting to ${url} …`,
  open: ({ url, protocol }) => `Open: ${url}${protocol ? `, subprotocol ${protocol}` : ''}`,
  closing: () => 'Closing: the Close frame is on its way, the answer to it is not here yet.',
  closed: ({ code, reason, clean, wasOpen }) => {
    if (!wasOpen) return 'Closed: you stopped before the connection was open.';
    const why = reason ? `, reason “${reason}”` : ', no reason given';
    const how = clean ? 'Clean: both sides sent a Close frame.' : 'Not clean: the closing handshake did not happen.';
    return `Closed: ${code} (${closeCodeName(code)})${why}. ${how}`;
  },
  refused: ({ url, problem }) => (problem
    ? `Refused: this is no address for a WebSocket. ${problem}`
    : `Refused: no WebSocket at ${url}. Nothing listens there, or it declined the opening handshake; `
      + 'a browser does not tell a page which.'),
};

export function showState(now) {
  const place = $('state');
  const { code, reason, clean } = now;
  Object.assign(place.dataset, { state: now.state, code: code ?? '', reason: reason ?? '', clean: clean ?? '' });
  place.textContent = SENTENCES[now.state](now);
  document.documentElement.dataset.connection = now.state;
  for (const step of document.querySelectorAll('#track [data-step]')) {
    const current = step.dataset.step === now.state || (now.state === 'refused' && step.dataset.step === 'closed');
    if (current) step.setAttribute('aria-current', 'step');
    else step.removeAttribute('aria-current');
  }
  $('last-step').textContent = now.state === 'refused' ? 'Refused' : 'Closed';
}
