/** Prints what ran on which runtime: the cases of `test/contract/gateway.ts`, one column for each runtime. */

import type { Reporter, TestCase, TestModule } from 'vitest/node';

const RUNTIMES = ['Node', 'workerd', 'Lambda'] as const;

const MARKS = { passed: '✓', failed: '✗', skipped: '–', pending: '?' } as const;

export default class RuntimeTable implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    /** By case, then by runtime. */
    const rows = new Map<string, Map<string, string>>();
    const differences: string[] = [];
    for (const test of modules.flatMap((module) => [...module.children.allTests()])) {
      const [runtime = '', ...path] = pathOf(test);
      if (!RUNTIMES.some((name) => name === runtime)) continue;
      const name = path.join(': ');
      const row = rows.get(name) ?? new Map<string, string>();
      const { differs } = test.meta() as { differs?: string };
      if (differs) differences.push(`* ${runtime}: ${name} → ${differs}`);
      rows.set(name, row.set(runtime, MARKS[test.result().state] + (differs ? '*' : '')));
    }
    if (rows.size === 0) return;

    const width = Math.max(...[...rows.keys()].map((name) => name.length));
    const line = (name: string, cells: readonly string[]) =>
      console.log(`${name.padEnd(width)}  ${cells.map((cell) => cell.padEnd(8)).join('')}`);
    line('', RUNTIMES);
    for (const [name, row] of rows)
      line(
        name,
        RUNTIMES.map((runtime) => row.get(runtime) ?? ''),
      );
    for (const difference of differences) console.log(difference);
  }
}

/** The names from the outermost suite to the test. */
function pathOf(test: TestCase): string[] {
  const names = [test.name];
  for (let suite = test.parent; suite.type === 'suite'; suite = suite.parent) names.unshift(suite.name);
  return names;
}
