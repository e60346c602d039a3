import { toJsonSchema, toJsonSchemaDefs } from '@valibot/to-json-schema';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { jsonSchemaOf } from '../../src/http/json-schema.ts';
import { CallsSchema } from '../../src/http/quota.ts';
import { MESSAGE_COMPONENTS } from '../../src/message/schema.ts';
import * as responses from '../../src/responses.ts';

const OPTIONS = { typeMode: 'input', errorMode: 'ignore' } as const;

describe('JSON Schema', () => {
  test.each(
    Object.entries({
      ...responses,
      CallsSchema,
      entries: v.pipe(v.record(v.string(), v.boolean()), v.maxEntries(3)),
      literals: v.union([v.literal('a'), v.literal(1), v.literal(true)]),
      lists: v.pipe(v.array(v.pipe(v.string(), v.minLength(1))), v.minLength(2), v.maxLength(3)),
      numbers: v.object({ a: v.pipe(v.number(), v.minValue(3)), b: v.pipe(v.number(), v.safeInteger()) }),
    }),
  )('of %s is what @valibot/to-json-schema makes of it', (_, schema) => {
    const { $schema, ...expected } = toJsonSchema(schema, OPTIONS);
    expect(jsonSchemaOf(schema)).toEqual(expected);
  });

  test('of what has a name elsewhere is a reference', () => {
    const names = new Map<unknown, string>(
      Object.entries(MESSAGE_COMPONENTS).map(([name, one]) => [one, name]),
    );
    const refOf = (schema: unknown) => {
      const name = names.get(schema);
      return name === undefined ? undefined : { $ref: `#/components/schemas/${name}` };
    };
    const made = Object.entries(MESSAGE_COMPONENTS).map(([name, one]) => [name, jsonSchemaOf(one, refOf)]);
    expect(Object.fromEntries(made)).toEqual(
      toJsonSchemaDefs(MESSAGE_COMPONENTS, {
        ...OPTIONS,
        overrideRef: ({ referenceId }) => `#/components/schemas/${referenceId}`,
      }),
    );
  });

  test('of a kind that is not known is an error', () => {
    expect(() => jsonSchemaOf(v.date())).toThrow(/date/);
  });
});
