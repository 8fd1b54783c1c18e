import { shellBlocks } from './statements.js';

export type Place = 'alpha' | 'beta' | 'gamma' | 'delta' | 'solo' | 'home';

export interface Result {
	code: number | null;
	/** What it wrote to stdout and stderr. */
	said: string;
}

/** A fleet that the pages are played on. */
export interface Stage {
	/** Runs a shell's script; `input` is its standard input. */
	run(place: Place, script: string, input?: string): Promise<Result>;
	/** What stands in the pages for what a reader has, and what this stage has in its place. */
	readonly names: Readonly<Record<string, string>>;
	/** Whether it has systemd, packages and the places of an installation. */
	readonly isInstalled: boolean;
}

/** How a statement of a page is played: the first whose `at` the statement begins with. */
export interface Cue {
	at: string;
	/** Why it is not played; or where else it is, as a file below test/. */
	not?: string;
	/** What makes the statement meaningful, run at home, where `ssh` reaches every node. It must succeed. */
	first?: string;
	place?: Place;
	input?: string;
	/** Its exit code; 0 if left out. */
	exit?: number;
	/** It runs until it is interrupted, which it is once it has said something. */
	follows?: true;
	/** Texts of the statement that stand for a reader's own, and a script at home that says what they are here. */
	own?: Readonly<Record<string, string>>;
}

export interface Play {
	/** As `Block.name`. */
	block: string;
	place?: Place;
	/** It needs systemd, packages or the places of an installation. */
	installed?: true;
	/** It is one of those that `npm test` plays. */
	quick?: true;
	/** Why none of it is played; or where else it is, as a file below test/. */
	not?: string;
	cues?: readonly Cue[];
	/** Puts back what the next block expects, at home. */
	after?: string;
}

export interface Played {
	block: string;
	statement: string;
	code: number | null;
	expected: number;
	said: string;
	tookMs: number;
}

/** Cut off where a statement follows; a slow machine has it longer. */
const followedMaxSeconds = 60;

/** Plays the blocks in the order of `plays`; ends at once when what a statement needs cannot be made. */
export async function* playPages(stage: Stage, plays: readonly Play[]): AsyncGenerator<Played> {
	const blocks = new Map(shellBlocks().map(({ name, statements }) => [name, statements]));
	for (const play of plays) {
		if (play.not !== undefined || (play.installed && !stage.isInstalled)) continue;
		const statements = blocks.get(play.block);
		if (statements === undefined) throw new Error(`no page has the block ${play.block}`);
		// What a shell keeps from one line to the next.
		let kept = '';
		for (const statement of statements) {
			const cue = play.cues?.find(({ at }) => statement.startsWith(at)) ?? { at: statement };
			if (cue.not === undefined) yield await playStatement(stage, play, statement, cue, kept);
			if (/^(umask|cd) /.test(statement)) kept += `${statement}\n`;
		}
		if (play.after !== undefined) await succeed(stage, play.after);
	}
}

async function playStatement(stage: Stage, play: Play, statement: string, cue: Cue, kept: string): Promise<Played> {
	if (cue.first !== undefined) await succeed(stage, cue.first);
	const text = await withOwn(stage, statement, cue.own ?? {});
	const script = kept + (cue.follows ? interrupted(text) : text);
	const began = performance.now();
	const { code, said } = await stage.run(cue.place ?? play.place ?? 'alpha', script, cue.input);
	const tookMs = performance.now() - began;
	return { block: play.block, statement, code, expected: cue.exit ?? 0, said, tookMs };
}

async function succeed(stage: Stage, script: string): Promise<string> {
	const { code, said } = await stage.run('home', `set -eu\n${script}`);
	if (code !== 0) throw new Error(`what a page needs could not be made (${code}): ${script}\n${said}`);
	return said.trim();
}

async function withOwn(stage: Stage, statement: string, own: Readonly<Record<string, string>>): Promise<string> {
	let text = statement;
	for (const [word, script] of Object.entries(own)) {
		if (!text.includes(word)) throw new Error(`there is no ${word} in: ${statement}`);
		text = text.replaceAll(word, await succeed(stage, script));
	}
	for (const [word, here] of Object.entries(stage.names)) text = text.replaceAll(word, here);
	return text;
}

/** Ends as the statement does when a reader presses Ctrl-C once it has said something. */
const interrupted = (statement: string): string => `
said=$(mktemp)
set -m
( ${statement.replace(/\s#.*$/, '')} ) > "$said" 2>&1 &
process=$!
for turn in $(seq ${followedMaxSeconds * 5}); do [ -s "$said" ] || ! kill -0 $process 2>/dev/null && break; sleep 0.2; done
kill -INT -$process
wait $process
code=$?
cat "$said"; [ -s "$said" ] || code=99; rm "$said"
[ $code = 130 ] && code=0
exit $code`;
