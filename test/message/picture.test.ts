import { describe, expect, test } from 'vitest';
import { essenceOf, formatMediaType, parseMediaType } from '../../src/message/media-type.ts';
import { PICTURE_TYPES, pictureProblem, pictureType, pictureWarning } from '../../src/message/picture.ts';
import { base64Of } from '../support/pictures.ts';

const encoded = (text: string | Buffer): string => Buffer.from(text as string, 'utf8').toString('base64');

describe('the type of a picture', () => {
  test.each(PICTURE_TYPES)('%s by its first bytes', (type) => {
    expect(pictureType(base64Of(type))).toBe(type);
    expect(pictureProblem(base64Of(type), type)).toBeNull();
  });

  test.each<[string, string]>([
    ['an XML declaration', '<?xml version="1.0" encoding="UTF-8"?>\n<svg/>'],
    ['a byte order mark', '\ufeff<svg>'],
    ['a comment', `<!-- Generator: ${'x'.repeat(10_000)} <svg> -->\n<svg viewBox="0 0 1 1"/>`],
    [
      'a document type',
      '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd" [ <!ENTITY a "b"> ]><svg></svg>',
    ],
    ['a prefix', '<svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>'],
  ])('image/svg+xml with %s in front', (_, text) => {
    expect(pictureType(encoded(text))).toBe('image/svg+xml');
  });

  test.each<[string, string | Buffer]>([
    ['nothing', ''],
    ['text', 'hello'],
    ['text that starts like a BMP', 'BMW drivers'],
    ['HTML', '<!DOCTYPE html><html><svg></svg></html>'],
    ['text with an SVG in it', 'See <svg/>'],
    ['an SVG in a comment alone', '<!-- <svg/> -->'],
    ['TIFF', Buffer.from('49492a0008000000', 'hex')],
    ['half a signature', Buffer.from('89504e47', 'hex')],
    ['a WAV, which is RIFF as WebP is', Buffer.from('RIFF\0\0\0\0WAVEfmt ', 'latin1')],
    ['an MP4, which has brands as AVIF has', Buffer.from('\0\0\0\x18ftypisom\0\0\0\0isommp42', 'latin1')],
    ['PDF', '%PDF-1.7'],
  ])('%s is none', (_, bytes) => {
    expect(pictureType(Buffer.isBuffer(bytes) ? bytes.toString('base64') : encoded(bytes))).toBeNull();
  });

  test('names the type that it found', () => {
    expect(pictureProblem(base64Of('image/gif'), 'image/png')).toMatch(/are image\/gif, not image\/png/);
    expect(pictureProblem(encoded('hello'), 'image/png')).toMatch(/not image\/png.*attachment/);
    expect(pictureProblem('', 'image/png')).toMatch(/empty/);
  });

  test('has a warning where clients do not show it', () => {
    expect(pictureWarning('image/svg+xml')).toMatch(/does not show in Gmail and Outlook/);
    expect(pictureWarning('image/avif')).toMatch(/does not show in Outlook for Windows/);
    for (const type of ['image/png', 'image/jpeg', 'image/gif', 'image/bmp'] as const) {
      expect(pictureWarning(type)).toBeNull();
    }
  });
});

describe('a media type', () => {
  test.each([
    ['image/jpg', 'image/jpeg'],
    [' Image/PJPEG ', 'image/jpeg'],
    ['IMAGE/X-PNG', 'image/png'],
    ['image/svg', 'image/svg+xml'],
    ['image/x-icon', 'image/vnd.microsoft.icon'],
    ['application/x-pdf', 'application/pdf'],
    ['text/constructor', 'text/constructor'],
    ['constructor', 'constructor'],
  ])('%j is %s', (type, essence) => {
    expect(essenceOf(type)).toBe(essence);
  });

  test.each<[string, string | null]>([
    ['text/plain', 'text/plain'],
    ['Text/CSV ;charset="utf-8" ; header=present', 'text/csv; charset="utf-8"; header=present'],
    ['text/plain;', 'text/plain'],
    ['text / plain ; charset = utf-8 ;', 'text/plain; charset=utf-8'],
    ['application/x-pdf; name="a \\"b\\".pdf"', 'application/pdf; name="a \\"b\\".pdf"'],
    [
      'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
      'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    ],
    ['text/html; profile=http://a.example/b', 'text/html; profile="http://a.example/b"'],
    ['text', null],
    ['text/', null],
    ['/plain', null],
    ['text/plain charset=utf-8', null],
    ['text/plain; charset', null],
    ['text/plain; charset="utf-8', null],
    ['text/plain; charset=utf-8; Charset=utf-7', null],
    ['text/plain; name*0=a', null],
    ['text/plain\r\nX: y', null],
    ['text/plain; name="é"', null],
    ['a, b/c', null],
  ])('%j', (text, expected) => {
    const type = parseMediaType(text);
    expect(type === null ? null : formatMediaType(type)).toBe(expected);
  });
});
