import { expect, test } from 'vitest';
import { formMail } from '../../src/hooks/form.ts';

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
