// The files that go through the page, one for each form of the length. All of them are made here, none is kept.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** One red pixel: 69 bytes, the 7-bit form. */
export const TINY_PNG = Buffer.from(
  '89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154'
  + '78da63d8ac260700028700f8a19a8c150000000049454e44ae426082', 'hex');

/** A PDF of one page with `lines` lines of text, a correct cross-reference table and nothing compressed: the 16-bit form. */
export function smallPdf(lines = 40) {
  const text = Array.from({ length: lines }, (_, i) => `(${i + 1}. The length says nothing about the kind of content.) Tj T*`);
  const stream = `BT /F1 11 Tf 14 TL 56 780 Td\n${text.join('\n')}\nET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  let pdf = '%PDF-1.4\n';
  const offsets = objects.map((body, i) => {
    const offset = pdf.length;
    pdf += `${i + 1} 0 obj\n${body}\nendobj\n`;
    return offset;
  });
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  const start = pdf.length;
  pdf += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}`;
  pdf += `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`;
  return Buffer.from(pdf, 'latin1');
}

/**
 * Ten seconds of a moving test picture under noise, in VP8, which every Chromium plays. At a fixed 16 Mbit/s that is 20 MB,
 * and the noise makes the encoder use them. It takes about five seconds on two cores.
 */
export async function encodeVideo(path) {
  await promisify(execFile)('ffmpeg', [
    '-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=25:duration=10', '-vf', 'noise=alls=24:allf=t',
    '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-threads', '2',
    '-b:v', '16M', '-minrate', '16M', '-maxrate', '16M', '-bufsize', '4M', path,
  ], { timeout: 120_000, killSignal: 'SIGKILL' });
}

/** About `bytes` bytes of text in which Latin letters and Chinese characters take turns. */
export function mixedText(bytes) {
  const line = 'A socket with an eye 带眼睛的套接字; 一个汉字占三个字节, a letter one. ';
  return line.repeat(Math.ceil(bytes / Buffer.byteLength(line)));
}
