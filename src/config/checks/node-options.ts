/** What may stand in `node_args` and NODE_OPTIONS: options of Node that leave it to run the app, and nothing else. */

export interface OptionFault {
	expected: string;
	got: string;
	hint: string;
}

/** Options that take their value as the next word, too. */
const takesNextWord = new Set([
	'-C',
	'-r',
	'--conditions',
	'--disable-warning',
	'--env-file',
	'--env-file-if-exists',
	'--experimental-loader',
	'--icu-data-dir',
	'--import',
	'--loader',
	'--openssl-config',
	'--redirect-warnings',
	'--require',
	'--title',
]);

/** With one of these Node runs something else than the app, or waits for somebody before it does. */
const runsSomethingElse = new Set([
	'--build-sea',
	'--build-snapshot',
	'--build-snapshot-config',
	'--check',
	'--completion-bash',
	'--entry-url',
	'--eval',
	'--experimental-sea-config',
	'--help',
	'--inspect-brk',
	'--inspect-brk-node',
	'--inspect-wait',
	'--interactive',
	'--print',
	'--prof-process',
	'--run',
	'--snapshot-blob',
	'--test',
	'--v8-options',
	'--version',
	'--watch',
	'--watch-path',
]);

/** The first of these words that cannot be an option of a worker's Node; null when all can. */
export function nodeArgumentFault(words: readonly string[]): (OptionFault & { index: number }) | null {
	const index = words.findIndex((word, at) => !isOptionOrValue(word, words[at - 1]));
	const word = words[index];
	if (word === undefined) return null;
	const expected = 'options of Node with which it runs the script';
	if (word.startsWith('-') && word !== '-' && word !== '--') {
		return { index, expected, got: nameOf(word), hint: 'the script and its arguments are script and args' };
	}
	return {
		index,
		expected,
		got: word.startsWith('-') ? word : 'a word that begins with no -',
		hint: 'write a value behind =, as in --stack-size=2000; arguments of the script are args',
	};
}

/** The problem with a NODE_OPTIONS, without the value of any option: it may be a secret. */
export function nodeOptionsFault(text: string): OptionFault | null {
	const words = splitNodeOptions(text);
	if (words === null) {
		return { expected: 'NODE_OPTIONS as Node reads it', got: 'a double quote that is not closed', hint: 'close it' };
	}
	const fault = nodeArgumentFault(words);
	if (fault !== null) return fault;
	const refused = words.find((word) => word.startsWith('-') && !process.allowedNodeEnvironmentFlags.has(nameOf(word)));
	if (refused === undefined) return null;
	return {
		expected: 'options that Node takes in NODE_OPTIONS',
		got: nameOf(refused),
		hint: 'give it in node_args',
	};
}

/** As Node does: at spaces outside of double quotes, within which a backslash keeps the next character. null: not closed. */
export function splitNodeOptions(text: string): string[] | null {
	const words: string[] = [];
	let word: string | null = null;
	let quoted = false;
	for (let index = 0; index < text.length; index++) {
		let character = text[index] ?? '';
		if (character === '\\' && quoted) {
			index += 1;
			if (index === text.length) return null;
			character = text[index] ?? '';
		} else if (character === '"') {
			quoted = !quoted;
			continue;
		} else if (character === ' ' && !quoted) {
			if (word !== null) words.push(word);
			word = null;
			continue;
		}
		word = (word ?? '') + character;
	}
	if (word !== null) words.push(word);
	return quoted ? null : words;
}

function isOptionOrValue(word: string, before: string | undefined): boolean {
	if (word === '-' || word === '--') return false;
	if (!word.startsWith('-')) return before !== undefined && takesNextWord.has(before);
	// Of the short ones only those that load or resolve modules; the others run or print something.
	if (!word.startsWith('--')) return takesNextWord.has(word);
	return !runsSomethingElse.has(nameOf(word));
}

/** Node takes underscores for dashes. */
const nameOf = (word: string): string => word.replace(/=.*$/s, '').replaceAll('_', '-');
