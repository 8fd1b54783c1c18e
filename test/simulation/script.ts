/**
 * Plays a script of the protocol: commands to a fleet in virtual time, each followed by what the nodes then do. The core
 * on every node is the real one, in the real shell; disks, links and workers are made up. See `scripts/*.txt`.
 */
import type { CoreEffect, DurableState } from '../../src/fleet/core/events.js';
import type { CoreRequest } from '../../src/rollout/messages.js';
import { fakeConfig, fleetLeaseMs, SimFleet } from '../support/rollout/sim-fleet.js';
import { effectLine, entryLine, messageText } from './script-lines.js';

/** Between a command and what came of it. */
const mark = '----';
/** Longest that a script waits for something, in virtual time. */
const waitMaxMs = 60_000;

type Play = (fleet: SimFleet, words: RegExpExecArray) => void;

/** What can be asked for. */
const requests: Readonly<Record<string, Partial<CoreRequest>>> = {
	roll: {},
	'change members': { service: 'clustering_config' },
	restart: { type: 'restart', service: null },
};

const words = (text: string | undefined): string[] => (text ?? '').split(' ').filter((word) => word !== '');
const durableOf = (fleet: SimFleet, name: string): DurableState => fleet.node(name).disk.durable;
const rolloutOf = (fleet: SimFleet, name: string): string => {
	const { open, ended } = durableOf(fleet, name);
	return open.at(-1)?.spec.id ?? ended.at(-1)?.rollout ?? '';
};

/** Each with the form that a reader writes. */
const commands: readonly { readonly form: string; readonly pattern: RegExp; readonly play: Play }[] = [
	{
		form: 'roll | change members | restart, from NODE',
		pattern: /^(roll|change members|restart) from (\w+)$/,
		play: (fleet, [, what = '', name = '']) => {
			fleet.ask(name, requests[what]);
		},
	},
	{
		form: 'run until NODE begins',
		pattern: /^run until (\w+) begins$/,
		play: (fleet, [, name = '']) => {
			const already = fleet.begun.length;
			fleet.until('a step begins', () => fleet.begun.slice(already).some((one) => one.node === name), waitMaxMs);
		},
	},
	{
		form: 'run until NODE is back',
		pattern: /^run until (\w+) is back$/,
		play: (fleet, [, name = '']) => {
			const isBack = (): boolean => durableOf(fleet, name).records.at(-1)?.state === 'back';
			fleet.until(`${name} is back`, isBack, waitMaxMs);
		},
	},
	{
		form: 'run until NODE leads',
		pattern: /^run until (\w+) leads$/,
		play: (fleet, [, name = '']) =>
			fleet.until(`${name} leads`, () => fleet.node(name).quorum?.lease?.kind === 'held', waitMaxMs),
	},
	{
		form: 'run until all know the end',
		pattern: /^run until all know the end$/,
		play: (fleet) => {
			const alive = (): string[] => [...fleet.nodes.values()].filter((one) => one.alive).map((one) => one.name);
			fleet.until('the end', () => alive().every((name) => durableOf(fleet, name).open.length === 0), waitMaxMs);
		},
	},
	{
		form: 'run NUMBER leases',
		pattern: /^run (\d{1,2}) leases?$/,
		play: (fleet, [, leases]) => fleet.run(Number(leases) * fleetLeaseMs),
	},
	{ form: 'kill NODE', pattern: /^kill (\w+)$/, play: (fleet, [, name = '']) => fleet.node(name).kill() },
	{ form: 'start NODE', pattern: /^start (\w+)$/, play: (fleet, [, name = '']) => fleet.node(name).start() },
	{
		form: 'let the steps of NODE take NUMBER ms',
		pattern: /^let the steps of (\w+) take (\d{1,5}) ms$/,
		play: (fleet, [, name = '', ms]) => {
			fleet.node(name).executor.stepMs = Number(ms);
		},
	},
	{
		form: 'write the file of NODE...: MEMBER...',
		pattern: /^write the file of ([\w ]+): ([\w ]+)$/,
		play: (fleet, [, names, members]) => {
			for (const name of words(names)) fleet.node(name).file = fakeConfig(words(members), 'c2');
		},
	},
	{
		form: 'start new NODE: MEMBER...',
		pattern: /^start new (\w+): ([\w ]+)$/,
		play: (fleet, [, name = '', members]) => fleet.add(name, fakeConfig(words(members), 'c2')).start(),
	},
	{
		form: 'resume on NODE',
		pattern: /^resume on (\w+)$/,
		play: (fleet, [, name = '']) => {
			fleet.say(name, { kind: 'resume', rollout: rolloutOf(fleet, name), skip: [], user: 'admin' });
		},
	},
	{
		form: 'abort on NODE alone',
		pattern: /^abort on (\w+) alone$/,
		play: (fleet, [, name = '']) => {
			fleet.say(name, { kind: 'end_here', rollout: rolloutOf(fleet, name), user: 'admin' });
		},
	},
];

/** A script as it would read if every expectation were what happens now. */
export function playScript(text: string): string {
	let fleet: SimFleet | null = null;
	let done: Recorder | null = null;
	const result: string[] = [];
	let isOutput = false;
	for (const [at, line] of text.split('\n').entries()) {
		if (isOutput && line !== '') continue;
		isOutput = false;
		if (line === mark) {
			result.push(mark, ...(done?.take() ?? []));
			isOutput = true;
			continue;
		}
		result.push(line);
		if (line === '' || line.startsWith('#')) continue;
		const names = /^fleet ([\w ]+)$/.exec(line)?.[1];
		if (names !== undefined) {
			fleet = new SimFleet(words(names)).settled();
			done = new Recorder(fleet);
		} else if (line.startsWith('status on ') && fleet && done) done.add(...statusOf(fleet, line.slice(10)));
		else play(fleet, line, at + 1);
	}
	return result.join('\n');
}

function play(fleet: SimFleet | null, line: string, number: number): void {
	if (!fleet) throw new Error(`line ${number}: expected "fleet NODE..." first, found "${line}"`);
	for (const { pattern, play: perform } of commands) {
		const match = pattern.exec(line);
		if (!match) continue;
		perform(fleet, match);
		return;
	}
	const forms = [...commands.map((one) => one.form), 'status on NODE'].join('; ');
	throw new Error(`line ${number}: "${line}" is no command; there are: ${forms}`);
}

function statusOf(fleet: SimFleet, name: string): string[] {
	const view = fleet.view(name, rolloutOf(fleet, name));
	if (!view) return [`${name} knows no rollout`];
	const { id, state, reason, coordinator, nodes } = view;
	const head = `${name} shows: ${id} ${state}, coordinator ${coordinator}${reason === null ? '' : `, reason: ${reason}`}`;
	return [head, ...nodes.map((one) => `  ${one.node} ${one.state}${one.reason === null ? '' : `: ${one.reason}`}`)];
}

/** Keeps what the nodes do between two commands; one message to several peers is one line. */
class Recorder {
	#lines: { text: string; from: string; to: string[] }[] = [];

	constructor(fleet: SimFleet) {
		fleet.onEffect = (node, effect) => this.#effect(node, effect);
	}

	add(...lines: readonly string[]): void {
		for (const text of lines) this.#lines.push({ text, from: '', to: [] });
	}

	take(): string[] {
		const taken = this.#lines.map(({ text, from, to }) =>
			to.length > 0 ? `${from} -> ${to.join(', ')}: ${text}` : from === '' ? text : `${from} ${text}`,
		);
		this.#lines = [];
		return taken;
	}

	#effect(node: string, effect: CoreEffect): void {
		if (effect.kind === 'send') this.#sent(node, effect.to, messageText(effect.message));
		else if (effect.kind === 'store') for (const entry of effect.entries) this.#did(node, entryLine(entry));
		else this.#did(node, effectLine(effect));
	}

	#sent(from: string, to: string, text: string | null): void {
		if (text === null) return;
		const last = this.#lines.at(-1);
		if (last && last.to.length > 0 && last.from === from && last.text === text) {
			if (!last.to.includes(to)) last.to.push(to);
		} else this.#lines.push({ text, from, to: [to] });
	}

	#did(from: string, text: string | null): void {
		if (text !== null) this.#lines.push({ text, from, to: [] });
	}
}
