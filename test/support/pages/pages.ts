import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Compiled, this file lies two levels deeper than its source. */
export const repository = fileURLToPath(new URL('../../../../', import.meta.url));

/** The pages for users, by their paths in the repository: the README, and the manual with its contents. */
export const pagePaths: readonly string[] = [
	'README.md',
	...readdirSync(`${repository}src/manual`, { recursive: true, encoding: 'utf8' })
		.filter((name) => name.endsWith('.md'))
		.sort()
		.map((name) => `src/manual/${name}`),
];

export const readPage = (path: string): string => readFileSync(repository + path, 'utf8');

/** The code blocks of a text, without their fences. */
export const codeBlocks = (text: string): string[] =>
	[...text.matchAll(/^```[a-z]*\n([\s\S]*?)^```$/gm)].map(([, block]) => block ?? '');

/** What stands between backticks outside of code blocks. */
export const codeWords = (text: string): string[] =>
	[...text.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, word]) => word ?? '');
