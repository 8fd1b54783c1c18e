import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RollcallError } from '../../errors.js';
import { operationNames } from '../operation/names.js';
import { nearWords } from '../output/format.js';
import { markdownText } from '../output/markdown-text.js';
import type { Page } from '../output/terminal.js';

/** The pages lie beside the program, as they are in the repository: in a clone, a release folder and each package. */
const folder = fileURLToPath(new URL('../../../../src/manual/', import.meta.url));
/** Lists the topics by task; it is no topic itself. */
const contents = 'README.md';
const nearTopicsMax = 3;

/** The pages of the manual, below its folder, by topic. */
function pages(): ReadonlyMap<string, string> {
	const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' });
	return new Map(
		paths.filter((path) => path.endsWith('.md') && path !== contents).map((path) => [basename(path, '.md'), path]),
	);
}

/** The topics of the manual, sorted. */
export const topics = (): string[] => [...pages().keys()].sort();

/** Where the page of a topic lies, below the manual's folder; the contents without a topic. */
export const pagePath = (topic?: string): string => (topic === undefined ? contents : (pages().get(topic) ?? topic));

/** The Markdown of a topic; of the contents without one. */
export const readPage = (topic?: string): string => readFileSync(`${folder}${pagePath(topic)}`, 'utf8');

/** What `rollcall help [TOPIC]` prints. Throws `usage` for a word that is no topic. `commands`: what help also knows. */
export function manualText(topic: string | undefined, page: Page, commands: readonly string[]): string {
	const known = topics();
	if (topic !== undefined && !known.includes(topic)) throw unknownTopic(topic, known, commands);
	return markdownText(readPage(topic), page);
}

function unknownTopic(word: string, known: readonly string[], commands: readonly string[]): RollcallError {
	const containing = known.filter((topic) => word.length > 2 && topic.includes(word));
	const near = new Set([...nearWords(word, [...known, ...commands, ...operationNames]), ...containing]);
	const hints = [...near].slice(0, nearTopicsMax).map((one) => `rollcall help ${one}`);
	const hint = hints.length === 0 ? 'rollcall --help lists the commands.' : `Did you mean ${hints.join(', or ')}?`;
	return new RollcallError(
		'usage',
		`There is no command, operation or topic '${word}'. ${hint}\nTopics: ${known.join(', ')}`,
	);
}
