// The connection's state, as a word on the track of RFC 6455 (connecting, open, closing, closed) and as a sentence.

import { closeCodeName } from './connection.js';
import { $ } from './dom.js';
import { say } from './language.js';

/** The sentence for a state, as words and their values. */
function sentence({ state, url, protocol, code, reason, clean, wasOpen, problem }) {
  switch (state) {
    case 'open': return protocol ? ['state.open_protocol', { url, protocol }] : ['state.open', { url }];
    case 'closed': {
      if (!wasOpen) return ['state.stopped'];
      const values = { code, name: closeCodeName(code), reason };
      return [`state.closed_${clean ? 'clean' : 'unclean'}${reason ? '_reason' : ''}`, values];
    }
    case 'refused': return problem ? ['state.no_address', { problem }] : ['state.refused', { url }];
    default: return [`state.${state}`, { url }];
  }
}

export function showState(now) {
  const place = $('state');
  const { code, reason, clean } = now;
  Object.assign(place.dataset, { state: now.state, code: code ?? '', reason: reason ?? '', clean: clean ?? '' });
  say(place, ...sentence(now));
  document.documentElement.dataset.connection = now.state;
  for (const step of document.querySelectorAll('#track [data-step]')) {
    const current = step.dataset.step === now.state || (now.state === 'refused' && step.dataset.step === 'closed');
    if (current) step.setAttribute('aria-current', 'step');
    else step.removeAttribute('aria-current');
  }
  say($('last-step'), now.state === 'refused' ? 'step.refused' : 'step.closed');
}
