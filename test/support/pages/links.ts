import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { readPage, repository } from './pages.js';

const withoutCode = (page: string): string => page.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '');

/** The targets of a page's links to files of the repository and to places in pages. */
export const linksOf = (page: string): string[] =>
	[...withoutCode(page).matchAll(/\]\(([^)\s]+)\)/g)]
		.map(([, target]) => target ?? '')
		.filter((target) => !/^[a-z]+:/.test(target));

/** The anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (page: string): string[] =>
	[...page.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
		(title ?? '')
			.toLowerCase()
			.replaceAll(/[^\w\- ]/g, '')
			.replaceAll(' ', '-'),
	);

/** The path in the repository that a link in the page at `from` leads to. */
export function fileOf(from: string, target: string): string {
	const [file = ''] = target.split('#');
	return file === '' ? from : posix.normalize(posix.join(posix.dirname(from), file));
}

/** What is wrong with a link; null when it leads somewhere. */
export function faultOfLink(from: string, target: string): string | null {
	const file = fileOf(from, target);
	if (file.startsWith('..') || !existsSync(repository + file)) return `${from}: there is no file ${target}`;
	const anchor = target.split('#')[1];
	if (anchor === undefined || anchorsOf(readPage(file)).includes(anchor)) return null;
	return `${from}: there is no heading for ${target}`;
}
