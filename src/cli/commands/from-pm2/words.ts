/**
 * One piece of a word: a text in quotes (the closing one is missing at the end of what is not closed), a character behind
 * a backslash, or plain characters.
 */
const piece = /'([^']*)('?)|"([^"]*)("?)|\\([\s\S])|([^\s'"\\]+|\\$)/y;

/** The words of a command line as a shell splits it at blanks, quotes taken off. null: a quote is not closed. */
export function splitWords(text: string): string[] | null {
	const words: string[] = [];
	const blanks = /\s*/y;
	let at = 0;
	const skipBlanks = () => {
		blanks.lastIndex = at;
		blanks.exec(text);
		at = blanks.lastIndex;
	};
	for (skipBlanks(); at < text.length; skipBlanks()) {
		const word = wordAt(text, at);
		if (word === null) return null;
		words.push(word.text);
		at = word.end;
	}
	return words;
}

/** The word that begins here; null if a quote in it is not closed. */
function wordAt(text: string, start: number): { text: string; end: number } | null {
	let word = '';
	let end = start;
	for (;;) {
		piece.lastIndex = end;
		const found = piece.exec(text);
		if (found === null) return { text: word, end };
		const [, single, singleEnd, double, doubleEnd, escaped, plain] = found;
		if (singleEnd === '' || doubleEnd === '') return null;
		word += single ?? double ?? escaped ?? plain ?? '';
		end = piece.lastIndex;
	}
}

/** A field that PM2 takes as a text or as a list; null if it is neither. */
export function wordsOf(value: unknown): string[] | null {
	if (value === undefined || value === null || value === '') return [];
	if (typeof value === 'string') return splitWords(value);
	if (typeof value === 'number') return [String(value)];
	if (!Array.isArray(value)) return null;
	const list: unknown[] = value;
	return list.every((word) => typeof word === 'string' || typeof word === 'number') ? list.map(String) : null;
}

/** Whether only a shell can run it: several commands, variables, redirections. */
export const needsShell = (text: string): boolean => /[|&;<>$`()*?\n]/.test(text);

/** A text, number or truth value as a text; anything else is none. */
export function scalarText(value: unknown): string {
	return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}
