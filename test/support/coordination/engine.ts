/** An engine as the contract suite drives it: pure, one input after the other, everything that it does in order. */
import type { NodeName, Version } from '../../../src/coordination/epoch.js';
import type { Command, Ending, EntryId, Fact } from '../../../src/coordination/port.js';

export const leaseMs = 300;

export interface TestEntry {
	spec: {
		id: EntryId;
		replicated: true;
		members: { name: NodeName; zone: null }[];
		memberHash: string;
		membersNext: null;
		memberHashNext: null;
	};
	flags: { version: Version; left: NodeName[]; halted: string | null; value: number };
}

export interface TestBodies {
	spec: TestEntry['spec'];
	flags: TestEntry['flags'];
	view: object;
	readiness: object;
	status: object;
}

/** Told once no minority can undo it. A closed entry's version is that of its ending. */
export interface Committed {
	kind: 'committed';
	id: EntryId;
	version: Version;
	closed: boolean;
}

export type TestFact = Fact<TestBodies> | Committed;
export type TestEnding = Ending<TestBodies>;

export type Input<Message> =
	| { kind: 'started'; process: string }
	| { kind: 'command'; command: Command<TestBodies> }
	| { kind: 'message'; from: NodeName; message: Message }
	| { kind: 'link_up'; node: NodeName; hello: unknown }
	| { kind: 'link_down'; node: NodeName }
	| { kind: 'wake' };

export type Effect<Message, Stored> =
	| { kind: 'store'; entry: Stored }
	| { kind: 'send'; to: NodeName; message: Message }
	| { kind: 'fact'; fact: TestFact };

export interface Engine<State, Message, Stored> {
	/** Not a node but what all nodes are linked with, which never dies; null: the nodes are linked with each other. */
	readonly service: NodeName | null;
	create(self: NodeName, members: readonly NodeName[], stored: readonly Stored[]): State;
	/** What a peer is told when a link is made. */
	hello(state: State): unknown;
	step(state: State, input: Input<Message>, now: number): Effect<Message, Stored>[];
	/** When to be woken; null: no need. */
	wakeAt(state: State): number | null;
}
