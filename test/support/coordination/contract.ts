/**
 * What every engine guarantees (A1 to A5 in `src/coordination/port.ts`), judged over seeded courses: nodes that die in the
 * middle of what they do and start again from their disks, links that break, commands at any time.
 */
import {
	compareEpochs,
	compareVersions,
	type Epoch,
	type NodeName,
	textOfEpoch,
} from '../../../src/coordination/epoch.js';
import type { Command } from '../../../src/coordination/port.js';
import { Random } from '../random.js';
import {
	type Committed,
	type Engine,
	type Input,
	leaseMs,
	type TestBodies,
	type TestEntry,
	type TestFact,
} from './engine.js';

const members = ['alpha', 'beta', 'gamma'];
const troubleMs = 30 * leaseMs;
const calmMs = 20 * leaseMs;
const stepsMax = 40_000;

interface Node<State, Message, Stored> {
	name: NodeName;
	disk: Stored[];
	/** null: it is dead. */
	state: State | null;
	links: Set<NodeName>;
	/** What it leads, by its own belief. */
	leads: { epoch: Epoch; current: TestEntry | null } | null;
	commands: Command<TestBodies>[];
	inbox: { at: number; from: NodeName; message: Message }[];
	starts: number;
}

interface Leader {
	epoch: Epoch;
	node: NodeName;
	entries: readonly TestEntry[];
}

export class Violation extends Error {
	constructor(
		readonly guarantee: string,
		text: string,
	) {
		super(`${guarantee}: ${text}`);
	}
}

/** Plays one course; throws the {@link Violation}. Answers how much was committed. */
export function playCourse<State, Message, Stored>(engine: Engine<State, Message, Stored>, seed: number): number {
	const course = new Course(engine, new Random(seed));
	course.play();
	return course.commits.length;
}

class Course<State, Message, Stored> {
	readonly commits: Committed[] = [];
	now = 0;
	readonly #nodes = new Map<NodeName, Node<State, Message, Stored>>();
	readonly #leaders: Leader[] = [];
	/** What leaders have asked to close: it may come to be closed, whoever hears of it. */
	readonly #closes: { id: string; epoch: Epoch }[] = [];
	#entries = 0;

	constructor(
		private readonly engine: Engine<State, Message, Stored>,
		private readonly random: Random,
	) {
		const names = engine.service === null ? members : [...members, engine.service];
		for (const name of names)
			this.#nodes.set(name, {
				name,
				disk: [],
				state: null,
				links: new Set(),
				leads: null,
				commands: [],
				inbox: [],
				starts: 0,
			});
	}

	play(): void {
		const { random } = this;
		for (const node of this.#nodes.values()) this.#start(node);
		this.#mend();
		this.#until(leaseMs);
		while (this.now < troubleMs) {
			this.#trouble();
			this.#until(this.now + random.between(1, leaseMs));
		}
		this.#mend();
		this.#calm();
	}

	#trouble(): void {
		const { random } = this;
		const node = this.#node(random.pick(members));
		const [one, other] = [random.pick(members), this.engine.service ?? random.pick(members)];
		const kinds = { campaign: 4, change: 8, close: 2, transfer: 1, resign: 1, kill: 2, start: 3, cut: 3, join: 4 };
		switch (random.weighted(kinds)) {
			case 'campaign':
				this.#campaign(node);
				return;
			case 'change':
				for (const each of this.#nodes.values()) this.#change(each);
				return;
			case 'close':
				for (const each of this.#nodes.values()) this.#close(each);
				return;
			case 'transfer':
				node.commands.push({ kind: 'transfer', to: members.filter((name) => name !== node.name) });
				return;
			case 'resign':
				node.commands.push({ kind: 'resign' });
				return;
			case 'kill':
				if ([...this.#nodes.values()].every((each) => each.state !== null)) this.#kill(node);
				return;
			case 'start':
				if (node.state === null) this.#start(node);
				return;
			case 'cut':
				this.#cut(this.#node(one), this.#node(other));
				return;
			case 'join':
				this.#join(this.#node(one), this.#node(other));
				return;
		}
	}

	/** With all up and linked, what is asked for is done: an engine that decides nothing guarantees everything. */
	#calm(): void {
		const end = this.now + calmMs;
		const before = this.commits.length;
		while (this.now < end && this.commits.length === before) {
			if (![...this.#nodes.values()].some((node) => node.leads)) this.#campaign(this.#node(this.random.pick(members)));
			for (const node of this.#nodes.values()) this.#change(node);
			this.#until(this.now + 2 * leaseMs);
		}
		if (this.commits.length === before) throw new Violation('progress', 'nothing is committed although all are linked');
	}

	#campaign(node: Node<State, Message, Stored>): void {
		this.#entries += 1;
		if (node.leads === null) node.commands.push({ kind: 'campaign', purpose: 'start', rollout: `e${this.#entries}` });
	}

	#change(node: Node<State, Message, Stored>): void {
		if (!node.leads) return;
		this.#entries += 1;
		const current = node.leads.current ?? newEntry(`e${this.#entries}`, node.leads.epoch);
		this.#put(node, { spec: current.spec, flags: { ...current.flags, value: current.flags.value + 1 } });
	}

	#put(node: Node<State, Message, Stored>, entry: TestEntry): void {
		if (node.leads) node.leads.current = entry;
		node.commands.push({ kind: 'put', entry });
	}

	#close(node: Node<State, Message, Stored>): void {
		const current = node.leads?.current;
		if (!node.leads || !current) return;
		node.leads.current = null;
		this.#closeEntry(node, node.leads.epoch, current.spec.id);
	}

	#closeEntry(node: Node<State, Message, Stored>, epoch: Epoch, id: string): void {
		this.#closes.push({ id, epoch });
		node.commands.push({ kind: 'close', ending: { rollout: id, view: {} } });
	}

	/** Runs all that is due until then. */
	#until(end: number): void {
		for (let steps = 0; steps < stepsMax; steps += 1) {
			const due = this.#nextDue();
			if (due === null || due.at > end) break;
			this.now = Math.max(this.now, due.at);
			this.#step(due.node, due.input());
		}
		this.now = Math.max(this.now, end);
	}

	#nextDue(): { node: Node<State, Message, Stored>; at: number; input: () => Input<Message> } | null {
		let first: { node: Node<State, Message, Stored>; at: number; input: () => Input<Message> } | null = null;
		const offer = (node: Node<State, Message, Stored>, at: number, input: () => Input<Message>): void => {
			if (first === null || at < first.at) first = { node, at, input };
		};
		for (const node of this.#nodes.values()) {
			if (node.state === null) continue;
			const [command] = node.commands;
			if (command)
				offer(node, this.now, () => {
					node.commands.shift();
					return { kind: 'command', command };
				});
			const [message] = node.inbox;
			if (message)
				offer(node, message.at, () => {
					node.inbox.shift();
					return { kind: 'message', from: message.from, message: message.message };
				});
			const wakeAt = this.engine.wakeAt(node.state);
			if (wakeAt !== null) offer(node, wakeAt, () => ({ kind: 'wake' }));
		}
		return first;
	}

	#step(node: Node<State, Message, Stored>, input: Input<Message>): void {
		if (node.state === null) return;
		const effects = this.engine.step(node.state, input, this.now);
		const dies = node.name !== this.engine.service && this.now < troubleMs && this.random.chance(0.002);
		const isAlone = [...this.#nodes.values()].some((each) => each.state === null);
		const done = dies && !isAlone ? effects.slice(0, this.random.between(0, effects.length)) : effects;
		for (const effect of done) {
			if (effect.kind === 'store') node.disk.push(structuredClone(effect.entry));
			else if (effect.kind === 'send') this.#send(node, effect.to, effect.message);
			else this.#onFact(node, effect.fact);
		}
		if (done !== effects) this.#kill(node);
	}

	#send(node: Node<State, Message, Stored>, to: NodeName, message: Message): void {
		if (!node.links.has(to)) return;
		const peer = this.#node(to);
		const last = peer.inbox.filter((one) => one.from === node.name).at(-1)?.at ?? 0;
		const at = Math.max(last, this.now + this.random.between(1, this.random.chance(0.1) ? leaseMs : 10));
		peer.inbox.push({ at, from: node.name, message: structuredClone(message) });
		peer.inbox.sort((a, b) => a.at - b.at);
	}

	#onFact(node: Node<State, Message, Stored>, fact: TestFact): void {
		switch (fact.kind) {
			case 'leading': {
				this.#judgeLeading(node.name, fact.epoch, fact.entries);
				node.leads = { epoch: fact.epoch, current: null };
				const [newest, ...others] = fact.entries;
				for (const { spec } of others) this.#closeEntry(node, fact.epoch, spec.id);
				if (newest) this.#put(node, newest);
				return;
			}
			case 'lost':
				node.leads = null;
				node.commands = [];
				return;
			case 'committed':
				for (const leader of this.#leaders) this.#judgeTold(leader, fact, 'A5');
				this.commits.push(fact);
				return;
			default:
				return;
		}
	}

	#judgeLeading(node: NodeName, epoch: Epoch, entries: readonly TestEntry[]): void {
		for (const before of this.#leaders) {
			const order = compareEpochs(before.epoch, epoch);
			if (order === 0) throw new Violation('A1', `${node} and ${before.node} lead under ${textOfEpoch(epoch)}`);
			if (order > 0 && before.node === node)
				throw new Violation('A1', `${node} leads under ${textOfEpoch(epoch)} after ${textOfEpoch(before.epoch)}`);
		}
		const leader = { epoch, node, entries };
		this.#leaders.push(leader);
		for (const commit of this.commits) this.#judgeTold(leader, commit, 'A2');
	}

	/** What was committed under a lower epoch a leader was told of, be it committed before that or after. */
	#judgeTold(leader: Leader, { id, version, closed }: Committed, guarantee: string): void {
		if (version.epoch === null || compareEpochs(version.epoch, leader.epoch) >= 0) return;
		const told = leader.entries.find((one) => one.spec.id === id);
		const who = `${leader.node}, leading under ${textOfEpoch(leader.epoch)},`;
		const what = `${id} of ${textOfEpoch(version.epoch)}/${version.n}`;
		if (closed) {
			if (told) throw new Violation('A4', `${who} is told as open what was closed, ${what}`);
			return;
		}
		if (told ? compareVersions(told.flags.version, version) >= 0 : this.#mayBeClosed(id, leader.epoch)) return;
		throw new Violation(guarantee, `${who} was not told ${what}`);
	}

	#mayBeClosed(id: string, under: Epoch): boolean {
		return this.#closes.some((one) => one.id === id && compareEpochs(one.epoch, under) < 0);
	}

	#start(node: Node<State, Message, Stored>): void {
		node.starts += 1;
		node.state = this.engine.create(node.name, members, node.disk);
		this.#step(node, { kind: 'started', process: `${node.name}${node.starts}` });
	}

	#kill(node: Node<State, Message, Stored>): void {
		for (const name of [...node.links]) this.#cut(node, this.#node(name));
		Object.assign(node, { state: null, leads: null, commands: [], inbox: [] });
	}

	#cut(one: Node<State, Message, Stored>, other: Node<State, Message, Stored>): void {
		if (!one.links.has(other.name)) return;
		for (const [node, peer] of [
			[one, other],
			[other, one],
		] as const) {
			node.links.delete(peer.name);
			node.inbox = node.inbox.filter(({ from }) => from !== peer.name);
			this.#step(node, { kind: 'link_down', node: peer.name });
		}
	}

	#join(one: Node<State, Message, Stored>, other: Node<State, Message, Stored>): void {
		if (one === other || one.links.has(other.name) || one.state === null || other.state === null) return;
		const hellos = [this.engine.hello(other.state), this.engine.hello(one.state)];
		one.links.add(other.name);
		other.links.add(one.name);
		this.#step(one, { kind: 'link_up', node: other.name, hello: hellos[0] });
		this.#step(other, { kind: 'link_up', node: one.name, hello: hellos[1] });
	}

	/** All live, and are linked. */
	#mend(): void {
		const all = [...this.#nodes.values()];
		for (const node of all) if (node.state === null) this.#start(node);
		for (const one of all)
			for (const other of all) {
				const { service } = this.engine;
				if (service === null || one.name === service || other.name === service) this.#join(one, other);
			}
	}

	#node(name: NodeName): Node<State, Message, Stored> {
		const node = this.#nodes.get(name);
		if (!node) throw new Error(`no node ${name}`);
		return node;
	}
}

function newEntry(id: string, epoch: Epoch): TestEntry {
	const own = members.map((name) => ({ name, zone: null }));
	return {
		spec: { id, replicated: true, members: own, memberHash: members.join(), membersNext: null, memberHashNext: null },
		// Such an entry stands in no other's way.
		flags: { version: { epoch, n: 0 }, left: [], halted: 'may be superseded', value: 0 },
	};
}
