import type { TestEvent } from 'node:test/reporters';

/**
 * A reporter of node:test beside the usual one: at the end a page of what was shown, file by file, with the figures that
 * the tests told.
 */
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
	const began = performance.now();
	const files = new Map<string, string[]>();
	/** Diagnostics of a test come after its outcome, so they belong to the last line of its file. */
	const linesOf = (file: string | undefined): string[] => {
		const name = (file ?? '').replace(/^.*\/(?=test\/)/, '').replace(/\.js$/, '.ts');
		const lines = files.get(name) ?? [];
		files.set(name, lines);
		return lines;
	};
	let failed = 0;
	let passed = 0;
	for await (const { type, data } of events) {
		if (type === 'test:pass' || type === 'test:fail') {
			if (data.details.type === 'suite') continue;
			if (type === 'test:pass') passed += 1;
			else failed += 1;
			const seconds = (data.details.duration_ms / 1000).toFixed(1);
			linesOf(data.file).push(`${type === 'test:pass' ? 'ok  ' : 'FAIL'} ${seconds.padStart(6)} s  ${data.name}`);
		} else if (type === 'test:diagnostic' && data.file !== undefined && data.nesting === 0) {
			linesOf(data.file).push(`                 ${data.message}`);
		}
	}
	yield '\nREPORT\n';
	for (const [file, lines] of files) yield `\n${file}\n${lines.map((line) => `  ${line}\n`).join('')}`;
	yield `\n${passed} shown, ${failed} failed, ${((performance.now() - began) / 1000).toFixed(0)} s\n`;
}
