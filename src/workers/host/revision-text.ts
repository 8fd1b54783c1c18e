/** Longest name of a revision: a commit, a hash or a version has room in it by far. */
export const revisionCharactersMax = 128;
/** No more than this is looked at. */
const examinedMax = 4_096;

/** Control and format characters, lone surrogates and line separators: what would change how a terminal shows the rest. */
const unfit = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu;

/** The first line of a text as the name of a revision, bounded and clean; null where nothing of it is left. */
export function revisionText(value: unknown): string | null {
	return lineText(value, revisionCharactersMax);
}

/** The first line of a text, bounded and clean; null where nothing of it is left. */
export function lineText(value: unknown, charactersMax: number): string | null {
	if (typeof value !== 'string') return null;
	const [line = ''] = value
		.slice(0, examinedMax)
		.trimStart()
		.split(/[\n\r]/u, 1);
	const clean = line.replace(unfit, ' ').trim();
	return [...clean].slice(0, charactersMax).join('').trimEnd() || null;
}
