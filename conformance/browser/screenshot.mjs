// Takes the READMEs' pictures of the page: SOCKEYE_URL=http://127.0.0.1:8080 node screenshot.mjs ../../docs/page.png
// Chinese text and emoji need fonts that have them (Debian: fonts-noto-cjk, fonts-noto-color-emoji).

import { launch, openPage } from './browser.mjs';
import { smallPdf } from './files.mjs';

const [out, locale = 'en', colorScheme = 'light', width = '1280', height = '1235'] = process.argv.slice(2);
if (!out) {
  console.error('usage: node screenshot.mjs OUT.png [en|zh] [light|dark] [WIDTH] [HEIGHT]');
  process.exit(2);
}

const browser = await launch();
try {
  const { page } = await openPage(browser, {
    viewport: { width: Number(width), height: Number(height) },
    colorScheme,
    locale,
    reducedMotion: 'reduce',
  });
  const echoes = (count) => page.waitForFunction(
    (n) => document.querySelectorAll('#messages > li[data-direction="received"][data-same]').length === n, count);

  await page.setInputFiles('#file', { name: 'notes.pdf', mimeType: 'application/pdf', buffer: smallPdf() });
  await echoes(1);
  await page.setInputFiles('#file', { name: 'river.svg', mimeType: 'image/svg+xml', buffer: picture() });
  await echoes(2);
  await page.waitForFunction(() => document.querySelector('#messages img')?.complete);
  await page.fill('#text', '你好，世界 👋');
  await page.press('#text', 'Enter');
  await echoes(3);
  await page.waitForSelector('#figure[data-record]');
  await page.evaluate(() => scrollTo(0, 0));
  await page.mouse.move(0, 0);
  await page.waitForTimeout(300);
  await page.screenshot({ path: out });
} finally {
  await browser.close();
}

/** A picture that nobody has to license: the page's fish, on their way up a river. */
function picture() {
  const fish = (x, y, size, colour) => `<g transform="translate(${x} ${y}) scale(${size})">
    <path fill="${colour}" d="M3 33C13 17 33 13 47 28l14-13c-3 11-3 25 0 36L47 38C33 53 13 49 3 33Z"/>
    <circle cx="15" cy="30" r="3.500" fill="#fbfbf8"/><circle cx="15" cy="30" r="1.800" fill="#1d2b22"/></g>`;
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 200" width="640" height="200">
    <linearGradient id="river" x2="0" y2="1"><stop stop-color="#dfe9e2"/><stop offset="1" stop-color="#7fa695"/></linearGradient>
    <path fill="url(#river)" d="M0 0h640v200H0z"/>
    <path fill="none" stroke="#fbfbf8" stroke-width="2" opacity=".6" d="M0 38q40-12 80 0${'t80 0'.repeat(7)}M0 168q40-12 80 0${'t80 0'.repeat(7)}"/>
    ${fish(430, 25, 1.1, '#8d4a3f')}${fish(270, 84, 1.5, '#b3261e')}${fish(110, 36, 2, '#c8352b')}
    ${fish(500, 110, 1.2, '#a83a30')}${fish(30, 130, 0.9, '#8d4a3f')}
  </svg>`);
}
