import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RollcallError } from '../../errors.js';
import { operationNames } from '../operation/names.js';
import { nearWords } from '../output/format.js';
import { markdownText } from '../output/markdown-text.js';
import type { Page } from '../output/terminal.js';

/** The pages lie beside the program, as they are in the repository: in a clone, a release folder and each package. */
const folder = fileURLToPath(new URL('../../../../src/manual/', import.meta.url));
/** Lists the topics by task; it is no topic itself. */
const contents = 'README';
const nearTopicsMax = 3;

/** The topics of the manual, sorted. */
export const topics = (): string[] =>
	readdirSync(folder)
		.filter((name) => name.endsWith('.md') && name !== `${contents}.md`)
		.map((name) => name.slice(0, -'.md'.length))
		.sort();

/** The Markdown of a topic; of the contents without one. */
export const readPage = (topic: string = contents): string => readFileSync(`${folder}${topic}.md`, 'utf8');

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
