import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, rollcall, waitFor } from '../support/fleet/nodes.js';
import { hosts, type Host, type SceneFleet } from './fleet.js';

/** What one command came to, as its operator sees it. */
export interface Seen {
	on: Host;
	line: string;
	code: number;
	text: string;
}

/** The machine was slower than the two seconds that an answer may take: that is not the fleet's fault, and asked again. */
const tooSlow = /did not check its file in time|answers were too slow|answers too slowly|has just been linked/;
const askedMax = 10;
/** Then the operator gives a command up. */
const patientMs = 100_000;

/** So many commands may lie between a message and a fleet that is whole. */
export const commandsMax = 5;

async function inTime(ask: () => Promise<CommandResult>): Promise<CommandResult> {
	let answer = await ask();
	for (let asked = 1; asked < askedMax && tooSlow.test(answer.stderr + answer.stdout); asked += 1) answer = await ask();
	return answer;
}

/** Somebody who types commands on the hosts and has nothing else to go by than what they print. */
export class Operator {
	readonly all: Seen[] = [];

	constructor(
		readonly fleet: SceneFleet,
		readonly talk: (text: string) => void = () => undefined,
	) {}

	#first: Seen | undefined;

	/** What the scene is about; else the first command that did not succeed, else the last one. */
	get first(): Seen | undefined {
		return this.#first ?? this.all.find(({ code }) => code !== 0) ?? this.all.at(-1);
	}

	/** This is what the operator sees first of the mishap. */
	sees(seen: Seen): Seen {
		this.#first ??= seen;
		return seen;
	}

	/** A line that begins with `rollcall`, typed on a host. */
	async types(on: Host, line: string): Promise<Seen> {
		const words = line.split(' ').slice(1);
		const { configFile } = this.fleet.node(on);
		return this.#keep(
			on,
			line,
			await inTime(() => rollcall([...words, '--config', configFile, '--no-color'], {}, patientMs)),
		);
	}

	/** A line of a page, in a shell at home. */
	async shell(line: string): Promise<Seen> {
		return this.#keep(hosts[0], line, await inTime(() => this.fleet.shell.run(line)));
	}

	/** As `shell`; it has to succeed. */
	async done(line: string): Promise<Seen> {
		const seen = await this.shell(line);
		if (seen.code !== 0) throw new Error(`${line}: exit ${seen.code}: ${seen.text}`);
		return seen;
	}

	/** A line typed at home, where the authority is. */
	async typesAtHome(line: string): Promise<Seen> {
		const words = line.split(' ').slice(1);
		const dir = join(this.fleet.home, 'fleet-ca');
		return this.#keep(hosts[0], line, await rollcall([...words, '--dir', dir]));
	}

	/** `rollcall status` until it says this. */
	async looks(on: Host, expected: RegExp): Promise<Seen> {
		const { configFile } = this.fleet.node(on);
		let answer: CommandResult | undefined;
		await waitFor(
			`rollcall status on ${on} to say ${expected}`,
			async () => {
				answer = await rollcall(['status', '--config', configFile, '--no-color']);
				return expected.test(answer.stdout);
			},
			() => answer?.stdout ?? '',
		);
		return this.#keep(on, 'rollcall status', answer as CommandResult);
	}

	/** A host's status as JSON, in a file at home. */
	async statusFile(on: Host): Promise<string> {
		const file = join(this.fleet.home, 'status.json');
		const { stdout } = await rollcall(['status', '--json', '--config', this.fleet.node(on).configFile]);
		writeFileSync(file, stdout);
		return file;
	}

	/** A new certificate as `rollcall ca issue` says it, on the host where it belongs. */
	async issues(host: Host): Promise<void> {
		const line = `rollcall ca issue ${this.fleet.nameOf(host)}`;
		const asked = await this.typesAtHome(line);
		if (asked.code !== 0 && asked.text.includes('--force')) await this.typesAtHome(`${line} --force`);
		this.copies(host, 'ca.pem', 'cert.pem', 'key.pem');
	}

	/** Files of the authority's folder to a host's own, as scp does. */
	copies(host: Host, ...files: string[]): void {
		const name = this.fleet.nameOf(host);
		for (const file of files) {
			const from = file === 'ca.pem' ? file : join(name, file);
			cpSync(join(this.fleet.home, 'fleet-ca', from), this.fleet.tls(host, file));
		}
	}

	/**
	 * Does what a message says: `mend` is what it asks for outside of Rollcall (a file, a disk), then the commands that it
	 * names are run, each answer in its turn, until the fleet is where the scene wants it. Says how many it took.
	 */
	async follows(said: Seen, way: { mend?: (text: string) => unknown; until: () => Promise<boolean> }): Promise<number> {
		await way.mend?.(said.text);
		let last = said;
		for (let count = 0; count < commandsMax; ) {
			const [next] = commandsIn(last.text).filter(({ line }) => !isOutOfTheWay(line));
			const line = next?.line ?? said.line;
			for (const on of this.#placesOf(next, last)) {
				last = await this.types(on, line);
				count += 1;
			}
			if (await way.until()) return count;
		}
		throw new Error(`not out after ${commandsMax} commands; the last message: ${last.text}`);
	}

	#placesOf(command: NamedCommand | undefined, said: Seen): Host[] {
		const named = (command?.on ?? []).map((name) => this.fleet.hostOf(name)).filter((host) => host !== undefined);
		return named.length > 0 ? named : [said.on];
	}

	#keep(on: Host, line: string, { code, stdout, stderr }: CommandResult): Seen {
		const seen = { on, line, code: code ?? -1, text: `${stdout}${stderr}`.trim() };
		this.all.push(seen);
		this.talk(`${on}$ ${line}\n${seen.text}\n[exit ${seen.code}]`);
		return seen;
	}
}

/** What is done at home, or gives up what was asked for: not the first thing that an operator types. */
const isOutOfTheWay = (line: string): boolean => /^rollcall (ca|rollout abort|stop|daemon)\b/.test(line);

interface NamedCommand {
	line: string;
	/** The nodes on which the message says to run it; empty: where it was said. */
	on: string[];
}

const wordsOfCommand =
	/rollcall (?:(?:rollout|ca|fleet) [a-z]+|[a-z_]+)(?: (?:[a-z_]+=[\w.-]*\w|--[a-z-]+(?: (?!or\b|and\b)[\w.]*\w)?|[0-9a-f-]{36}))*/g;
const places = /(?:run|ask) on (?:each: |each of )?((?:\w+(?:, | and )?)+): $/;

/** The commands that a message names, in its order. */
export function commandsIn(text: string): NamedCommand[] {
	const plain = text.replace(/ --config \S+/g, '');
	return [...plain.matchAll(wordsOfCommand)].map((match) => {
		const before = plain.slice(0, match.index);
		const on = places.exec(before)?.[1]?.split(/, | and /) ?? [];
		return { line: match[0], on };
	});
}
