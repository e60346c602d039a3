import { expect, test } from 'vitest';
import { formMail } from '../../src/hooks/form.ts';
import { renderNotice } from '../../src/hooks/render-notice.ts';

const mailOf = (fields: Record<string, string>) =>
  formMail(
    { fields: new Map(Object.entries(fields).map(([name, value]) => [name, [value]])), files: [] },
    'contact',
    'website',
  );

test('a subject and a name that are cut say so, and no character is split', () => {
  const long = `a${'😀'.repeat(150)}`;
  const { notice, replyTo } = mailOf({ subject: long, name: long, email: 'ann@example.com' });
  expect(notice.subject).toBe(`a${'😀'.repeat(99)}…`);
  expect(replyTo?.name).toBe(notice.subject);
});

test('the rest of a long subject stands in the mail', () => {
  const subject = `${'word '.repeat(60)}end`;
  expect(renderNotice(mailOf({ subject, message: 'x' }).notice).text).toContain(`Subject: ${subject}`);
  expect(renderNotice(mailOf({ subject: 'short', message: 'x' }).notice).text).not.toContain('Subject:');
});

test.each([
  ['message', { message: `${'long '.repeat(4_001)}end` }],
  ['value', { size: `${'long '.repeat(401)}end`, email: 'ann@example.com' }],
  ['number of fields', Object.fromEntries(Array.from({ length: 201 }, (_, n) => [`n${n}`, `v${n}é`]))],
])('a %s that the mail has no room for is attached', (_, fields: Record<string, string>) => {
  const [file, ...others] = mailOf(fields).attachments;
  expect(others).toEqual([]);
  expect(file).toMatchObject({ filename: 'form.txt', contentType: 'text/plain; charset=utf-8' });
  const whole = Buffer.from(file?.content ?? '', 'base64').toString();
  for (const [name, value] of Object.entries(fields)) expect(whole).toContain(`${name}: ${value}\n`);
});

test('what the mail has room for is not attached', () => {
  expect(mailOf({ message: 'x'.repeat(20_000), size: 'x'.repeat(2_000) }).attachments).toEqual([]);
});
