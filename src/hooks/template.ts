/** Liquid templates, bounded: no file, no network, no eval, and an end in time, memory and output. */

/** @returns the text, or why it could not be made */
export type Template = (context: object) => Promise<{ readonly text: string } | { readonly problem: string }>;

const PARSE_CHARS = 100_000;
/** Of one template, in milliseconds. */
const RENDER_MS = 100;
/** In liquidjs' own units: some for each item and character that is made. */
const MEMORY = 2_000_000;
const MOST_OUTPUT = 1_000_000;

const isPlain = (source: string): boolean => !/\{[{%]/.test(source);

/**
 * Compiles a template; a text without Liquid is itself, so that hooks without templates load no engine.
 *
 * @param outputEscape - of what is put out, unless a filter says `raw`: liquidjs' own for HTML, or another
 * @returns what is wrong with it, in one line
 */
export async function compile(
  source: string,
  outputEscape?: 'escape' | ((value: unknown) => string),
): Promise<Template | string> {
  if (isPlain(source)) return async () => ({ text: source });
  const { Liquid } = await import('./liquid.ts');
  const engine = new Liquid({
    ...(outputEscape && { outputEscape }),
    // A file system that holds nothing.
    templates: {},
    ownPropertyOnly: true,
    strictFilters: true,
    parseLimit: PARSE_CHARS,
    renderLimit: RENDER_MS,
    memoryLimit: MEMORY,
  });
  // Such a template could only fail, at each event.
  for (const tag of ['include', 'render', 'layout']) delete engine.tags[tag];
  try {
    const parsed = engine.parse(source);
    return async (context) => {
      try {
        const text = String(await engine.render(parsed, context));
        return text.length > MOST_OUTPUT
          ? { problem: `It makes more than ${MOST_OUTPUT} characters.` }
          : { text };
      } catch (error) {
        return { problem: firstLine(error) };
      }
    };
  } catch (error) {
    return firstLine(error);
  }
}

const firstLine = (error: unknown): string => {
  const [line = ''] = String(error instanceof Error ? error.message : error).split('\n');
  return line.slice(0, 300);
};
