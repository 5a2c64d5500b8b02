// Messages to try, one or two for each form of the length.

const encoder = new TextEncoder();

export const GREETING = '你好，世界 👋';

/** The smallest picture worth looking at: a PNG of 2 × 2 pixels in the page's colours, 79 bytes. */
const TINY_PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR42mPYrCZnH2XD8OHZJTW3LAAihQVLkwbiLwAAAABJRU5ErkJggg==';

export const SAMPLES = {
  greeting: () => GREETING,
  tinyPicture: () => new File([Uint8Array.from(atob(TINY_PNG), (c) => c.charCodeAt(0))], 'tiny.png', { type: 'image/png' }),
  threeHundred: () => textOf('The quick brown fox jumps over the lazy dog. 敏捷的棕色狐狸跳過了懶狗。 ', 300),
  seventyThousand: () => textOf('A frame may end inside a character. 一個字可能被切成兩半。 ', 70_000),
};

/** `line` over and over, to exactly `bytes` bytes of UTF-8; full stops fill the end where no whole character fits. */
function textOf(line, bytes) {
  const whole = line.repeat(Math.floor(bytes / encoder.encode(line).length));
  let text = whole;
  let left = bytes - encoder.encode(whole).length;
  for (const character of line) {
    const width = encoder.encode(character).length;
    if (width > left) break;
    text += character;
    left -= width;
  }
  return text + '.'.repeat(left);
}
