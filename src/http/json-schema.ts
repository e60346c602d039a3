/**
 * valibot's schemas as JSON Schema 2020-12, OpenAPI 3.1's own: those of its kinds that ours are made of. A test holds it
 * to `@valibot/to-json-schema`, which would weigh 4 kB in each bundle.
 */

import type { GenericSchema } from 'valibot';

/** What a schema or a step of its pipe may have, by its `type`. */
interface Part {
  readonly kind: 'schema' | 'validation' | 'metadata' | 'transformation';
  readonly type: string;
  readonly pipe?: readonly [Part, ...Part[]];
  readonly wrapped: Part;
  readonly item: Part;
  readonly key: Part;
  readonly value: Part;
  readonly entries: Readonly<Record<string, Part>>;
  readonly options: readonly unknown[];
  readonly literal: unknown;
  readonly requirement: number | RegExp;
  readonly title: string;
  readonly description: string;
  readonly examples: readonly unknown[];
}

type JsonSchema = Record<string, unknown>;

/**
 * What only code can check is left to descriptions.
 *
 * @param refOf - a reference to a schema that stands elsewhere; undefined where it has no name
 * @throws for a kind of schema that is not known here
 */
export const jsonSchemaOf = (
  schema: GenericSchema,
  refOf: (schema: unknown) => JsonSchema | undefined = () => undefined,
): JsonSchema => whole(schema as unknown as Part, refOf);

type RefOf = (schema: unknown) => JsonSchema | undefined;

function whole(part: Part, refOf: RefOf): JsonSchema {
  if (part.pipe === undefined) return bare(part, refOf);
  const [first, ...steps] = part.pipe;
  const schema = whole(first, refOf);
  for (const step of steps) Object.assign(schema, constraint(step, schema.type));
  return schema;
}

function bare(part: Part, refOf: RefOf): JsonSchema {
  const inner = (one: unknown) => refOf(one) ?? whole(one as Part, refOf);
  switch (part.type) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
      return { type: part.type };
    case 'nullish':
    case 'nullable':
      return { anyOf: [inner(part.wrapped), { type: 'null' }] };
    case 'optional':
      return inner(part.wrapped);
    case 'array':
      return { type: 'array', items: inner(part.item) };
    case 'union':
      return { anyOf: part.options.map(inner) };
    case 'picklist':
      return { enum: part.options, type: typeof part.options[0] };
    case 'literal':
      return { const: part.literal };
    case 'record':
      return { type: 'object', propertyNames: inner(part.key), additionalProperties: inner(part.value) };
    case 'object':
    case 'strict_object': {
      const entries = Object.entries(part.entries);
      return {
        type: 'object',
        properties: Object.fromEntries(entries.map(([name, entry]) => [name, inner(entry)])),
        required: entries.filter(([, { type }]) => !MAY_LACK.includes(type)).map(([name]) => name),
        ...(part.type === 'strict_object' && { additionalProperties: false }),
      };
    }
  }
  throw new Error(`No JSON Schema is known for ${part.type}`);
}

const MAY_LACK = ['optional', 'nullish'];

/** What a step of a pipe says; nothing where only code can check it. */
function constraint({ type, requirement, ...step }: Part, of: unknown): JsonSchema {
  const length = of === 'array' ? 'Items' : 'Length';
  switch (type) {
    case 'title':
    case 'description':
    case 'examples':
      return { [type]: step[type] };
    case 'min_length':
      return { [`min${length}`]: requirement };
    case 'max_length':
      return { [`max${length}`]: requirement };
    case 'max_entries':
      return { maxProperties: requirement };
    case 'min_value':
      return { minimum: requirement };
    case 'regex':
      return { pattern: (requirement as RegExp).source };
    case 'integer':
      return { type: 'integer' };
    case 'safe_integer':
      return { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
    case 'iso_timestamp':
      return { format: 'date-time' };
  }
  return {};
}
