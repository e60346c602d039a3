import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { base64Problem, decodeBase64 } from '../../src/message/base64.ts';
import { PICTURE_TYPES, pictureProblem, pictureType } from '../../src/message/picture.ts';
import { PICTURES } from '../support/pictures.ts';

describe('the type of a picture', () => {
  test.each(PICTURE_TYPES)('%s by its first bytes', (type) => {
    expect(pictureType(PICTURES[type])).toBe(type);
    expect(pictureProblem(PICTURES[type], type)).toBeNull();
  });

  test.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('hello')],
    ['text that starts like a BMP', Buffer.from('BMW drivers')],
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['TIFF', Buffer.from('49492a0008000000', 'hex')],
    ['half a signature', Buffer.from('89504e47', 'hex')],
    ['a WAV, which is RIFF as WebP is', Buffer.from('RIFF\0\0\0\0WAVEfmt ', 'latin1')],
    ['PDF', Buffer.from('%PDF-1.7')],
  ])('%s is none', (_, bytes) => {
    expect(pictureType(bytes)).toBeNull();
  });

  test('names the type that it found', () => {
    expect(pictureProblem(PICTURES['image/gif'], 'image/png')).toMatch(/are image\/gif, not image\/png/);
    expect(pictureProblem(Buffer.from('hello'), 'image/png')).toMatch(/not image\/png.*attachment/);
    expect(pictureProblem(Buffer.alloc(0), 'image/png')).toMatch(/empty/);
  });
});

describe('base64', () => {
  test('gives back any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(decodeBase64(Buffer.from(bytes).toString('base64'))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test.each<[string, RegExp]>([
    ['AA==\n', /white space/],
    ['AA ==', /white space/],
    ['A', /multiple of 4/],
    ['AA', /multiple of 4/],
    ['AA=', /multiple of 4/],
    ['AAA=AAAA', /multiple of 4/],
    ['AAAA====', /multiple of 4/],
    ['=', /multiple of 4/],
    // Bits behind the last byte that are not zero.
    ['AB==', /multiple of 4/],
    ['AAB=', /multiple of 4/],
    ['-_-_', /standard base64/],
    ['AA*A', /only A-Z/],
    ['AAAÄ', /only A-Z/],
    ['data:image/png;base64,AAAA', /without the "data:" prefix/],
  ])('refuses %j', (text, problem) => {
    expect(decodeBase64(text)).toBeNull();
    expect(base64Problem(text)).toMatch(problem);
  });

  test('takes 16 MB, good or bad', () => {
    const text = Buffer.alloc(12_000_000, 7).toString('base64');
    expect(decodeBase64(text)?.length).toBe(12_000_000);
    expect(decodeBase64(`${text}*`)).toBeNull();
    expect(base64Problem(`${text}*`)).toMatch(/only A-Z/);
  });
});
