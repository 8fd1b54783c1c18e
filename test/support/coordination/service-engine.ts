/**
 * Another engine in the place of the own majority: every node asks one register that never fails, and nodes say nothing to
 * each other. It shows that the core, and all that is decided on it, stand on the interface alone. In memory, for tests.
 */
import type { Engine, EngineTurn, Input } from '../../../src/coordination/engine.js';
import { compareEpochs, type Epoch, type NodeName, sameEpoch, zeroEpoch } from '../../../src/coordination/epoch.js';
import {
	type Command,
	type Coordination,
	type Ending,
	type Entry,
	hasEnded,
	type Member,
	openOf,
	openShared,
	type Report,
} from '../../../src/coordination/port.js';
import { type Founding, nothingKept } from '../../../src/coordination/quorum/state.js';
import type { EngineTypes } from '../../../src/fleet/core/events.js';
import type { RolloutBodies } from '../../../src/rollout/messages.js';

type B = RolloutBodies;
type Turn = EngineTurn<EngineTypes, B>;

const lookEveryMs = 20;

/** What a store would hold: the leader, the entries in the order opened, how they ended, and each node's word. */
export class Register {
	leader: { epoch: Epoch; until: number } | null = null;
	counter = 0;
	invited: NodeName | null = null;
	open: Entry<B>[] = [];
	ended: Ending<B>[] = [];
	readonly said = new Map<NodeName, { at: number; report: Report<B>; readiness: B['readiness'] }>();
}

export class ServiceEngine implements Engine<EngineTypes, B> {
	readonly coordination: Coordination<B>;
	#kept = nothingKept<B>();
	#members: readonly Member[];
	readonly #links = new Map<NodeName, number>();
	#leads: Epoch | null = null;
	#campaigns = false;
	#heardAt: number | null = null;
	#changes = 0;
	#sequence = 0;

	constructor(
		private readonly register: Register,
		private readonly founding: Founding,
	) {
		this.#members = founding.members;
		this.coordination = this.#ask();
	}

	input(turn: Turn, input: Input<EngineTypes>): void {
		switch (input.kind) {
			case 'started':
				this.#kept = input.kept;
				turn.store({ kind: 'boot', boot: input.kept.boot + 1 });
				turn.store({ kind: 'instance', instance: input.kept.instance ?? input.process, voting: true });
				break;
			case 'link_up':
				this.#links.set(input.hello.node, input.hello.protocol.max);
				break;
			case 'link_down':
				this.#links.delete(input.node);
				break;
			case 'members':
				this.#members = input.members;
				break;
			case 'message':
			case 'timer':
			case 'readiness':
				break;
		}
		this.#look(turn);
	}

	admits(turn: Turn, _from: NodeName, epoch: Epoch): boolean {
		if (compareEpochs(epoch, this.#kept.promised) < 0) return false;
		this.#promise(turn, epoch);
		return true;
	}

	command(turn: Turn, command: Command<B>): boolean {
		const { register } = this;
		switch (command.kind) {
			case 'campaign':
				this.#campaigns = command.purpose === 'start';
				this.#campaign(turn, command.rollout);
				return true;
			case 'withdraw':
				this.#campaigns = false;
				return true;
			case 'keep':
				this.#closed(turn, command.ending);
				return true;
			case 'tell':
				return true;
			case 'report':
				this.#say(turn);
				return true;
			case 'admit':
				return false;
			case 'step_down':
				this.#letGo(turn, true);
				return true;
			default:
		}
		const leads = this.#leads;
		if (!leads) return false;
		switch (command.kind) {
			case 'put': {
				const { spec, flags } = command.entry;
				const version = { epoch: leads, n: this.#changes };
				this.#changes += 1;
				const entry = { spec, flags: { ...flags, version } };
				register.open = [...register.open.filter((one) => one.spec.id !== spec.id), entry];
				turn.store({ kind: 'open', ...entry });
				return true;
			}
			case 'close': {
				const ending = { ...command.ending, epoch: leads };
				register.open = register.open.filter((one) => one.spec.id !== ending.rollout);
				register.ended = [...register.ended, ending];
				this.#closed(turn, ending);
				return true;
			}
			case 'transfer':
				register.invited ??= command.to[0] ?? null;
				return register.invited !== null;
			case 'call_off':
				register.invited = null;
				return true;
			case 'resign':
				this.#letGo(turn, false);
				return true;
		}
	}

	settle(): void {}

	settleLeft(): void {}

	mayLead(): boolean {
		return this.#leads !== null;
	}

	settleEndings(): void {}

	armTimers(turn: Turn): void {
		if (!turn.isArmed('heartbeat')) turn.arm('heartbeat', turn.now + lookEveryMs);
	}

	/** What the register says now. */
	#look(turn: Turn): void {
		const { register } = this;
		const { self, leaseMs } = this.founding;
		if (this.#leads && register.leader && sameEpoch(register.leader.epoch, this.#leads))
			register.leader.until = turn.now + leaseMs;
		else if (this.#leads) this.#letGo(turn, true);
		if (register.leader && register.leader.until > turn.now) {
			this.#heardAt = turn.now;
			this.#promise(turn, register.leader.epoch);
		}
		for (const entry of register.open) {
			const known = openOf({ durable: this.#kept }, entry.spec.id)?.flags.version;
			if (known && sameEpoch(known.epoch, entry.flags.version.epoch) && known.n === entry.flags.version.n) continue;
			turn.store({ kind: 'open', ...entry });
		}
		for (const ending of register.ended)
			if (!hasEnded({ durable: this.#kept }, ending.rollout)) this.#closed(turn, ending);
		this.#say(turn);
		if (register.invited === self) this.#campaign(turn, null, true);
		else if (openShared({ durable: this.#kept }).length > 0 && !this.#leaderLives(turn.now)) this.#campaign(turn, null);
		if (!this.#leads) return;
		for (const [from, { report }] of register.said) if (from !== self) turn.tell({ kind: 'reported', from, report });
	}

	#leaderLives(now: number): boolean {
		return this.register.leader !== null && this.register.leader.until > now;
	}

	#campaign(turn: Turn, rollout: string | null, isInvited = false): void {
		const { register } = this;
		const { self, leaseMs } = this.founding;
		const running = register.open.find((one) => one.flags.halted === null && one.spec.id !== rollout);
		const isFree = isInvited || (!this.#leaderLives(turn.now) && !(rollout !== null && running));
		if (!isFree) {
			turn.tell({ kind: 'denied' });
			return;
		}
		register.counter += 1;
		const epoch = { counter: register.counter, node: self };
		register.leader = { epoch, until: turn.now + leaseMs };
		register.invited = null;
		this.#promise(turn, epoch);
		this.#leads = epoch;
		this.#changes = 0;
		this.#campaigns = false;
		turn.tell({ kind: 'leading', epoch, entries: register.open.toReversed() });
	}

	#letGo(turn: Turn, isTold: boolean): void {
		const { register } = this;
		if (!this.#leads) return;
		if (register.leader && sameEpoch(register.leader.epoch, this.#leads)) register.leader = null;
		this.#leads = null;
		if (isTold) turn.tell({ kind: 'lost' });
	}

	#promise(turn: Turn, epoch: Epoch): void {
		if (compareEpochs(epoch, this.#kept.promised) > 0) turn.store({ kind: 'promised', epoch });
	}

	#closed(turn: Turn, ending: Ending<B>): void {
		turn.store({ kind: 'ending', ending });
		turn.tell({ kind: 'closed', ending });
	}

	#say(turn: Turn): void {
		this.#sequence += 1;
		const have = openShared({ durable: this.#kept });
		const report: Report<B> = {
			boot: this.#kept.boot,
			sequence: this.#sequence,
			echo: 0,
			memberHash: this.founding.memberHash,
			have: have.map(({ spec, flags }) => ({ rollout: spec.id, version: flags.version })),
			ended: [],
			...turn.status(),
		};
		this.register.said.set(this.founding.self, { at: turn.now, report, readiness: turn.readiness() });
	}

	#ask(): Coordination<B> {
		const { register } = this;
		const { self, leaseMs } = this.founding;
		const isHeard = (node: NodeName, now: number): boolean =>
			node === self || now - (register.said.get(node)?.at ?? Number.NEGATIVE_INFINITY) < leaseMs;
		const names = (): NodeName[] => this.#members.map((one) => one.name);
		const follows = (): NodeName => register.leader?.epoch.node ?? zeroEpoch.node;
		const holds = (report: Report<B> | undefined, { spec, flags }: Entry<B>): boolean =>
			report?.have.some(
				(one) =>
					one.rollout === spec.id &&
					sameEpoch(one.version.epoch, flags.version.epoch) &&
					one.version.n >= flags.version.n,
			) ?? false;
		const report = (node: NodeName): Report<B> | undefined =>
			this.#leads ? register.said.get(node)?.report : undefined;
		return {
			leads: () => this.#leads,
			asksToStart: () => this.#campaigns,
			follows: () => (this.#heardAt === null ? null : { leader: follows(), heardAt: this.#heardAt }),
			expectsLeader: () => false,
			takeoverAt: () => null,
			fence: () => this.#kept.promised,
			votes: () => true,
			unmet: () => [],
			isMajority: (some) => new Set(some).size * 2 > names().length,
			minoritySince: () => null,
			whoIsNotHeard: () => '',
			whyNotHeard: () => null,
			hasOtherMembers: () => false,
			isOfThisFleet: ({ memberHash }) => memberHash === this.founding.memberHash,
			changingItself: () => undefined,
			peer: (node) => {
				const protocolMax = this.#links.get(node);
				if (protocolMax === undefined) return undefined;
				return { refused: null, protocolMax, readiness: register.said.get(node)?.readiness ?? null };
			},
			peers: () => [...this.#links.keys()].sort(),
			isLive: () => this.#leads !== null,
			hearsMajority: () => true,
			heard: (now) => names().filter((node) => isHeard(node, now)),
			isHeard,
			report,
			knows: (entry, node) => node === self || holds(register.said.get(node)?.report, entry),
			isConfirmed: (entry) => register.open.some((one) => one.spec.id === entry.spec.id),
			isSpreading: () => false,
			successor: () => register.invited,
		};
	}
}
