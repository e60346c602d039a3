import { describe, expect, it } from 'vitest';
import { type Form, readForm } from '../src/form.ts';

const URLENCODED = 'application/x-www-form-urlencoded';

/** As the platform itself writes a form. */
async function written(form: FormData): Promise<Form | string> {
  const response = new Response(form);
  const contentType = response.headers.get('Content-Type') as string;
  return readForm(new Uint8Array(await response.arrayBuffer()), contentType);
}

const multipart = (...parts: string[]): Form | string =>
  readForm(
    Buffer.from(`${parts.map((part) => `--b\r\n${part}\r\n`).join('')}--b--\r\n`),
    'multipart/form-data; boundary=b',
  );

const field = (form: Form | string, name: string) =>
  typeof form === 'string' ? form : form.fields.get(name);

describe('a form', () => {
  it('is read as URLSearchParams write it', () => {
    const params = new URLSearchParams([
      ['subject', '你好 & 100% + 1'],
      ['to', 'a@b.cn'],
      ['to', 'c@d.cn'],
    ]);
    const form = readForm(Buffer.from(String(params)), `${URLENCODED}; charset=UTF-8`);
    expect(field(form, 'subject')).toEqual(['你好 & 100% + 1']);
    expect(field(form, 'to')).toEqual(['a@b.cn', 'c@d.cn']);
  });

  it('is read as FormData writes it, to the byte', async () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 7) % 256);
    const form = new FormData();
    form.append('subject', '你好\r\n--');
    form.append('attachments', new Blob([bytes], { type: 'application/pdf' }), '报 "1".pdf');
    form.append('attachments', new Blob([]), 'empty');
    const read = (await written(form)) as Form;
    expect(field(read, 'subject')).toEqual(['你好\r\n--']);
    expect(read.files.map(({ name, filename, type }) => [name, filename, type])).toEqual([
      ['attachments', '报 "1".pdf', 'application/pdf'],
      ['attachments', 'empty', 'application/octet-stream'],
    ]);
    expect(Buffer.from(read.files[0]?.bytes ?? []).equals(bytes)).toBe(true);
    expect(read.files[1]?.bytes).toHaveLength(0);
  });

  it('is read with a preamble, padding, a charset and the names that clients write', () => {
    const body = [
      'preamble',
      '--b--c \t',
      'content-disposition: form-data; NAME=plain',
      'Content-Type: text/plain; charset=ISO-8859-1',
      'Content-Transfer-Encoding: 8bit',
      '',
      'caf\xe9',
      '--b--c',
      `Content-Disposition: form-data; name="a"; filename*=utf-8''%E6%8A%A5.pdf`,
      '',
      'x',
      '--b--c--',
      'epilogue',
    ].join('\r\n');
    const form = readForm(Buffer.from(body, 'latin1'), 'Multipart/Form-Data; boundary="b--c"') as Form;
    expect(field(form, 'plain')).toEqual(['café']);
    expect(form.files[0]?.filename).toBe('报.pdf');
  });

  it.each([
    ['another type', readForm(Buffer.from('{}'), 'application/json'), 'application/x-www-form-urlencoded'],
    ['no boundary', readForm(Buffer.from('--b'), 'multipart/form-data'), 'boundary'],
    ['no delimiter', readForm(Buffer.from('x'), 'multipart/form-data; boundary=b'), 'not the multipart'],
    ['no body', readForm(Buffer.from(''), 'multipart/form-data; boundary=b'), 'not the multipart'],
    ['no end', readForm(Buffer.from('--b\r\n\r\n'), 'multipart/form-data; boundary=b'), 'not the multipart'],
    ['no headers', multipart('x'), 'not the multipart'],
    ['no name', multipart('Content-Disposition: form-data\r\n\r\nx'), 'not the multipart'],
    [
      'base64',
      multipart('Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\neA=='),
      'Transfer',
    ],
    ['GBK', readForm(Buffer.from('subject=%C4%E3'), URLENCODED), 'UTF-8'],
    ['bytes that are no UTF-8', readForm(Buffer.from([0x61, 0x3d, 0xff]), URLENCODED), 'UTF-8'],
    [
      'a charset that is unknown',
      multipart('Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=x\r\n\r\nx'),
      'UTF-8',
    ],
    ['too many fields', readForm(Buffer.from('a&'.repeat(1001)), URLENCODED), '1000'],
    [
      'too many parts',
      multipart(...new Array(1001).fill('Content-Disposition: form-data; name=a\r\n\r\nx')),
      '1000',
    ],
  ])('with %s is refused', (_, read, why) => {
    expect(read).toContain(why);
  });

  it('is read in a time that grows with its size alone', () => {
    const body = Buffer.from(`--b\r\nContent-Disposition: form-data;${' ;'.repeat(8_000)}\r\n\r\n\r\n--b--`);
    expect(readForm(body, 'multipart/form-data; boundary=b')).toContain('not the multipart');
  });
});
