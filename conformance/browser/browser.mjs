// Starts Debian's Chromium and opens the page of a running `sockeye serve` in it.

import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** The server under test, without a slash at its end. */
export function serverUrl() {
  const url = process.env.SOCKEYE_URL;
  if (!url) throw new Error('SOCKEYE_URL is not set: start `sockeye serve` and give its address, as in SOCKEYE_URL=http://127.0.0.1:8080');
  return url.replace(/\/+$/, '');
}

/** What the stage has set in the environment. */
export function given(name) {
  if (!process.env[name]) throw new Error(`${name} is not set; cargo xtask test browser sets it`);
  return process.env[name];
}

/** A browser with a profile of its own, which Playwright deletes when it closes. It talks to nobody but the server. */
export function launch(args = []) {
  return chromium.launch({
    executablePath: EXECUTABLE,
    timeout: 60_000,
    args: [
      '--no-sandbox', // root has no use for the sandbox, and a container none to offer
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...args,
    ],
  });
}

/**
 * The page, open and `ready` (connected, unless said otherwise), and what it did wrong so far: `trouble` collects errors, warnings,
 * violations of the content security policy and requests to other hosts. `asked` has the URL of each request and WebSocket.
 * `window.seen` in the page lists each state the connection was in, and each video whose `loadeddata` has fired.
 */
export async function openPage(browser, { url = serverUrl(), hash = '', ready = '#state[data-state="open"]', ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, locale: 'en', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const trouble = [];
  const asked = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') trouble.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => trouble.push(`exception: ${error.message}`));
  page.on('websocket', (socket) => asked.push(socket.url()));
  page.on('request', (request) => {
    asked.push(request.url());
    if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url())) trouble.push(`request: ${request.url()}`);
  });
  await page.addInitScript(() => {
    window.seen = { states: [], loaded: 0, violations: [], progress: 0 };
    document.addEventListener('securitypolicyviolation', (event) => window.seen.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    document.addEventListener('loadeddata', () => { window.seen.loaded += 1; }, true);
    new MutationObserver((records) => {
      for (const { target, attributeName } of records) {
        if (target.id === 'state') window.seen.states.push(target.dataset.state);
        if (target.localName === 'progress' && attributeName === 'hidden' && !target.hidden) window.seen.progress += 1;
      }
    }).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-state', 'hidden'] });
  });
  await page.goto(`${url}/${hash}`);
  await page.waitForSelector(ready, { state: 'attached' });
  return { page, context, trouble, asked };
}

/** The fields of the frame in the figure, as bits; and the bytes on the wire and unmasked, out of the mask steps. */
export const figureOf = (page) => page.locator('#figure').evaluate((element) => {
  const fields = {};
  for (const { dataset } of element.querySelectorAll('.cell')) fields[dataset.name] = (fields[dataset.name] ?? '') + dataset.bits;
  const steps = [...element.querySelectorAll('.steps code')].map((code) => code.textContent.match(/[0-9A-F]{2}/g).map((hex) => parseInt(hex, 16)));
  return { fields, steps, record: element.dataset.record, text: element.innerText.replace(/\s+/g, ' ') };
});
