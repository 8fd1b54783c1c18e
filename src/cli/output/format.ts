/** Quantities in text for people. */

/** A span in ms: `340 ms`, `2.1 s`, `4 min 10 s`, `3 h 5 min`, `2 d 4 h`. */
export function span(ms: number): string {
	const positive = Math.max(0, ms);
	if (positive < 1000) return `${Math.round(positive)} ms`;
	if (positive < 60_000) return `${(positive / 1000).toFixed(1)} s`;
	const seconds = Math.round(positive / 1000);
	if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
	const minutes = Math.round(seconds / 60);
	if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
	const hours = Math.round(minutes / 60);
	return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Bytes in binary units: `512 B`, `57.1 MiB`. */
export function bytes(count: number): string {
	const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
	let value = count;
	let unit = 0;
	while (value >= 1024 && unit < units.length - 1) {
		value /= 1024;
		unit += 1;
	}
	return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A point in time (ms since 1970), local: `2026-05-18 12:00:31`. */
export function moment(at: number): string {
	const date = new Date(at);
	if (Number.isNaN(date.getTime())) return '-';
	const two = (value: number) => String(value).padStart(2, '0');
	const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
	return `${day} ${clock(at)}`;
}

/** The time of day, local: `12:00:31`. */
export function clock(at: number): string {
	const date = new Date(at);
	const two = (value: number) => String(value).padStart(2, '0');
	return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * The daemon's text for a person at this terminal: what can be done is said as commands, since the daemon speaks of
 * operations, and times are local, as all times of the command line are.
 */
export function forPeople(text: string, now = Date.now()): string {
	return text
		.replace(/\b(pause|resume|abort|undo)_rollout it\b/g, '$1 it (rollcall rollout $1)')
		.replace(/(?<!rollcall )\b(pause|resume|abort|undo)_rollout\b/g, 'rollcall rollout $1')
		.replace(/(?<!rollcall )\b(drain|ready)_node\b/g, 'rollcall node $1')
		.replace(/(?<!rollcall )\brestart_service (?=service=)/g, 'rollcall restart_service ')
		.replace(/\bas hold_after asked\b/g, 'as was asked')
		.replace(
			/(\S+), which was back, to be ready again \(availability is Unavailable\)/g,
			'$1, which was back, to be put back into its load balancers (rollcall node ready $1)',
		)
		.replace(/\bwith skip it stays\b/g, 'with --skip it stays')
		.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (time) => moment(Date.parse(time)))
		.replace(/\b(\d\d:\d\d:\d\d)Z/g, (_, time: string) => clock(todayAt(time, now)));
}

/** A time of day in UTC, today. */
const todayAt = (time: string, now: number): number =>
	Date.parse(`${new Date(now).toISOString().slice(0, 10)}T${time}Z`);

const revisionCharacters = 24;

/** A revision at a glance: of a commit or a hash its beginning. null: it is not known. */
export function shortRevision(revision: string | null | undefined): string | null {
	// A daemon of an earlier version does not say.
	if (!revision) return null;
	if (/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(revision)) return revision.slice(0, 12);
	if (/^sha256:[0-9a-f]{64}$/.test(revision)) return revision.slice(0, 19);
	const characters = [...revision];
	return characters.length > revisionCharacters ? `${characters.slice(0, revisionCharacters - 1).join('')}…` : revision;
}

/** The lines of prose, broken between words so that none is longer than that; those after the first stand further right. */
export function wrapWords(text: string, columns: number | null, hang = ''): string {
	if (columns === null) return text;
	const wrapped = text.split('\n').flatMap((line) => {
		const [first = '', ...words] = line.trimStart().split(' ');
		const lines = [`${line.slice(0, line.length - line.trimStart().length)}${first}`];
		for (const word of words) {
			const last = lines.at(-1) ?? '';
			if ([...last].length + 1 + [...word].length > columns) lines.push(hang + word);
			else lines[lines.length - 1] = `${last} ${word}`;
		}
		return lines;
	});
	return wrapped.join('\n');
}

/** So many characters tell one rollout from the others; the commands take it. */
const idCharacters = 8;
export const shortId = (id: string): string => id.slice(0, idCharacters);

/** `1 node`, `3 nodes`. */
export function count(number: number, noun: string): string {
	return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** A word fit to be pasted into a shell. */
export function shellWord(word: string): string {
	return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The given words that are near a mistyped one, nearest first, at most three. */
export function nearWords(typed: string, known: readonly string[]): string[] {
	const far = Math.max(1, Math.floor(typed.length / 3));
	return known
		.map((word) => ({ word, distance: editDistance(typed.toLowerCase(), word) }))
		.filter(({ distance }) => distance <= far)
		.sort((one, other) => one.distance - other.distance)
		.slice(0, 3)
		.map(({ word }) => word);
}

/** Letters to insert, remove, replace or swap with their neighbour to come from one word to the other. */
function editDistance(one: string, other: string): number {
	let beforeLast: number[] = [];
	let last = Array.from({ length: other.length + 1 }, (_, index) => index);
	for (let i = 1; i <= one.length; i += 1) {
		const row = [i];
		for (let j = 1; j <= other.length; j += 1) {
			const same = one[i - 1] === other[j - 1];
			const at = (cells: number[], index: number) => cells[index] ?? Number.POSITIVE_INFINITY;
			let best = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (same ? 0 : 1));
			const swapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
			if (swapped) best = Math.min(best, at(beforeLast, j - 2) + 1);
			row.push(best);
		}
		beforeLast = last;
		last = row;
	}
	return last[other.length] ?? 0;
}
