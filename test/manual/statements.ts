import { execFileSync } from 'node:child_process';
import { pagePaths, readPage } from '../support/pages/pages.js';

/** One block of shell of a page: `operate/rolling 2` is the second one there. */
export interface Block {
	name: string;
	/** What a reader types, one after the other: a line, or several that the shell takes as one. */
	statements: string[];
}

const fence = /^```sh\n([\s\S]*?)^```$/gm;

/** Every block of shell of the README and the manual, in the order of the pages. */
export function shellBlocks(): Block[] {
	return pagePaths.flatMap((path) => {
		const page = path.replace(/^src\/manual\//, '').replace(/\.md$/, '');
		return [...readPage(path).matchAll(fence)].map(([, text = ''], index) => ({
			name: `${page} ${index + 1}`,
			statements: statementsOf(text),
		}));
	});
}

function statementsOf(text: string): string[] {
	const statements: string[] = [];
	let begun = '';
	for (const line of text.trimEnd().split('\n')) {
		begun += `${line}\n`;
		if (line.endsWith('\\') || !isComplete(begun)) continue;
		if (!/^\s*(#.*)?$/.test(line)) statements.push(begun.trimEnd());
		begun = '';
	}
	if (begun !== '') throw new Error(`the shell takes no such statement:\n${begun}`);
	return statements;
}

function isComplete(text: string): boolean {
	// A single line is complete unless it opens something.
	if (!/^\s*(for|while|if|case|until)\b|[({]\s*$/m.test(text)) return true;
	try {
		execFileSync('bash', ['-n'], { input: text, stdio: ['pipe', 'ignore', 'ignore'] });
		return true;
	} catch {
		return false;
	}
}
