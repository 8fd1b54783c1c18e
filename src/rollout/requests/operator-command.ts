/** An operator's word: pause, resume, abort, admit. Any node takes it; the holder of the lease does it. */
import { acceptHooks } from '../controller/hooks.js';
import { changeFlags } from '../controller/outcome.js';
import { type Drive, driveOf, renewDeadlines } from '../controller/state.js';
import { endHere } from '../agent/ended-here.js';
import { compareVersions } from '../../coordination/epoch.js';
import { localWord } from '../agent/local-rollouts.js';
import { haltText } from '../views/text.js';
import { wayOut } from '../views/way-out.js';
import type {
	RolloutEvent,
	ForwardedWord,
	OpenRollout,
	OperatorAnswer,
	OperatorCommand,
	RolloutMessage,
	Refusal,
} from '../messages.js';
import type { CoreState, PendingCommand } from '../state.js';
import { endedHereOf, endOf, send, type Turn } from '../outbox.js';
import type { NodeName, RolloutSpec, RolloutView } from '../types.js';
import { viewOf } from '../views/view.js';
import { isShared, openOf } from '../../coordination/port.js';

/** Longest that a word waits for a coordinator, beyond a lease. */
const wordLimitMs = 2000;
const wordsMax = 64;

export function onOperator(turn: Turn, event: Extract<RolloutEvent, { kind: 'operator' }>): void {
	const { token, word } = event;
	if (word.kind === 'end_here') takeEndHere(turn, token, word);
	else takeWord(turn, { token, word, from: null });
}

export function onForward(turn: Turn, from: NodeName, message: Extract<RolloutMessage, { kind: 'forward' }>): void {
	if (turn.state.commands.some((one) => one.token === message.id)) return;
	takeWord(turn, { token: message.id, word: message.word, from });
}

export function onAnswer(turn: Turn, message: Extract<RolloutMessage, { kind: 'answer' }>): void {
	const word = turn.state.commands.find((one) => one.token === message.id && one.from === null);
	if (word) answer(turn, word, message.answer);
}

type Asked = Pick<PendingCommand, 'token' | 'from'>;
type RolloutWord = Exclude<ForwardedWord, { kind: 'admit' }>;

/** Done at once, without telling peers; a rollout of this node alone ends as usual. */
function takeEndHere(
	turn: Turn,
	token: string,
	{ rollout, user }: Extract<OperatorCommand, { kind: 'end_here' }>,
): void {
	const { state } = turn;
	const asked: Asked = { token, from: null };
	const word = { kind: 'abort', rollout, user } as const;
	const open = openOf(state, rollout);
	const settled = settledAnswer(turn, word);
	if (settled || !open) {
		if (settled) answer(turn, asked, settled);
		return;
	}
	const refusal = isShared(open.spec) ? endHere(turn, open, user) : null;
	if (!isShared(open.spec)) localWord(turn, open, word);
	const view = endedHereOf(state, rollout) ?? viewOf(state, rollout, turn) ?? null;
	answer(turn, asked, refusal ? { ok: false, refusal } : { ok: true, view });
}

function takeWord(turn: Turn, asked: Asked & Pick<PendingCommand, 'word'>): void {
	const { state, now } = turn;
	const word = tidy(asked.word);
	const pending: PendingCommand = {
		...asked,
		word,
		until: now + state.settings.leaseMs + wordLimitMs,
		sentTo: null,
		applied: null,
	};
	if (word.kind === 'admit') {
		takeAdmission(turn, pending, word);
		return;
	}
	const settled = settledAnswer(turn, word);
	if (settled) {
		answer(turn, pending, settled);
		return;
	}
	const open = openOf(state, word.rollout);
	// Before it goes anywhere: a peer cuts the link over which a name comes that can be no node's.
	const unfit = open && word.kind === 'resume' ? foreignSkip(open.spec, word.skip) : null;
	if (unfit) {
		answer(turn, pending, unfit);
		return;
	}
	const late = open ? whyTooLate(open, word) : null;
	if (late) {
		answer(turn, pending, late);
		return;
	}
	if (open && !isShared(open.spec)) {
		localWord(turn, open, word);
		answer(turn, pending, { ok: true, view: viewOf(state, word.rollout, turn) ?? null });
		return;
	}
	if (state.commands.length >= wordsMax) {
		answer(turn, pending, refused('unavailable', 'too many operators wait for an answer; try again'));
		return;
	}
	state.commands.push(pending);
}

/** A node named twice is one; so a list that fits no message becomes one that does. */
function tidy(word: ForwardedWord): ForwardedWord {
	return word.kind === 'resume' ? { ...word, skip: [...new Set(word.skip)] } : word;
}

const refused = (code: Refusal['code'], message: string, extra: Record<string, string> = {}): OperatorAnswer => ({
	ok: false,
	refusal: { code, message, extra },
});

/** The answer for a rollout that has ended, or is unknown. */
function settledAnswer(turn: Turn, word: RolloutWord): OperatorAnswer | null {
	const { state } = turn;
	const ended = endOf(state, word.rollout);
	if (ended) {
		if (word.kind === 'abort' && ended.state === 'aborted') return { ok: true, view: ended };
		const text = `Rollout ${word.rollout} is ${ended.state} already; there is nothing to ${word.kind}`;
		return refused('conflict', text, { job_id: word.rollout });
	}
	return openOf(state, word.rollout) ? null : refused('not_found', `Rollout '${word.rollout}' not found`);
}

function takeAdmission(turn: Turn, pending: PendingCommand, word: Extract<ForwardedWord, { kind: 'admit' }>): void {
	const { state } = turn;
	if (word.node === state.settings.self) {
		answer(turn, pending, turn.command({ kind: 'admit' }) ? { ok: true, view: null } : whyNotAdmitted(state));
		return;
	}
	if (!state.members.some((member) => member.name === word.node)) {
		const names = state.members.map((member) => member.name).join(', ');
		answer(turn, pending, refused('not_found', `Node '${word.node}' is no member; the members are ${names}`));
		return;
	}
	if (!state.coordination.peer(word.node)) {
		answer(turn, pending, refused('unavailable', `${word.node} is not linked; start it, then admit it`));
		return;
	}
	if (pending.from !== null) return;
	pending.sentTo = word.node;
	state.commands.push(pending);
	send(turn, word.node, { kind: 'forward', id: pending.token, word });
}

function whyNotAdmitted({ settings, members, coordination }: CoreState): OperatorAnswer {
	const peers = members.length - 1;
	return refused(
		'unavailable',
		`${settings.self} hears ${peers - coordination.unmet().length} of ${peers} peers; it needs a majority of the members to take over their promises`,
	);
}

function answer(turn: Turn, word: Asked, given: OperatorAnswer): void {
	const { state } = turn;
	state.commands = state.commands.filter((one) => one.token !== word.token);
	if (word.from !== null) {
		send(turn, word.from, { kind: 'answer', id: word.token, answer: given });
		return;
	}
	if (given.ok) turn.effects.push({ kind: 'answer', token: word.token, view: given.view });
	else turn.effects.push({ kind: 'refuse', token: word.token, refusal: given.refusal });
}

/** Called after every event: words are done, forwarded, or answered once a majority has stored them. */
export function advanceCommands(turn: Turn, drive = driveOf(turn.state)): void {
	const { state } = turn;
	for (const word of [...state.commands]) {
		if (word.word.kind !== 'admit') advanceWord(turn, drive, word, word.word);
		if (state.commands.includes(word) && turn.now >= word.until) answer(turn, word, tooLate(turn, word));
	}
}

function advanceWord(turn: Turn, drive: Drive | null, pending: PendingCommand, word: RolloutWord): void {
	const { state } = turn;
	const ended = endOf(state, word.rollout);
	if (ended) {
		const given = endAnswer(turn, drive, pending, word, ended);
		if (given) answer(turn, pending, given);
		return;
	}
	const open = openOf(state, word.rollout);
	if (!drive) {
		forward(turn, pending);
		return;
	}
	if (!open || drive.rollout !== word.rollout) return;
	if (!pending.applied) {
		const refusal = applyWord(turn, drive, open, word);
		if (refusal) {
			answer(turn, pending, refusal);
			return;
		}
		const version = openOf(state, word.rollout)?.flags.version;
		if (version) pending.applied = { rollout: word.rollout, version };
	}
	const now = openOf(state, word.rollout);
	const stored = now && pending.applied && compareVersions(now.flags.version, pending.applied.version) >= 0;
	if (!now || !stored) return;
	if (!state.coordination.isConfirmed(now)) return;
	answer(turn, pending, { ok: true, view: viewOf(state, word.rollout, turn) ?? null });
}

/** The answer if the rollout has ended while the command waited; null otherwise. */
function endAnswer(
	turn: Turn,
	drive: Drive | null,
	pending: PendingCommand,
	word: RolloutWord,
	view: RolloutView,
): OperatorAnswer | null {
	if (drive && pending.applied) return turn.state.coordination.isSpreading(word.rollout) ? null : { ok: true, view };
	// The node that was asked knows whether it was done, and caused this end.
	if (pending.sentTo !== null && turn.now < pending.until) return null;
	return settledAnswer(turn, word) ?? { ok: true, view };
}

function applyWord(turn: Turn, drive: Drive, open: OpenRollout, word: RolloutWord): OperatorAnswer | null {
	const { flags, spec } = open;
	const late = whyTooLate(open, word);
	if (late) return late;
	switch (word.kind) {
		case 'pause':
			if (flags.halted !== null)
				return refused('conflict', `Rollout ${spec.id} is halted, nothing runs: ${haltText(flags)}`, {
					job_id: spec.id,
				});
			if (!flags.paused) changeFlags(turn, open, { paused: true });
			return null;
		case 'abort':
			if (!flags.aborting) changeFlags(turn, open, { aborting: { by: word.user }, paused: false });
			return null;
		case 'resume':
			resume(turn, drive, open, word);
			return null;
	}
}

/** A rollout that is being aborted can be neither paused nor resumed. */
function whyTooLate({ flags, spec }: OpenRollout, word: RolloutWord): OperatorAnswer | null {
	if (!flags.aborting || word.kind === 'abort') return null;
	return refused('conflict', `Rollout ${spec.id} is being aborted by ${flags.aborting.by}`, { job_id: spec.id });
}

function foreignSkip(spec: RolloutSpec, skip: readonly NodeName[]): OperatorAnswer | null {
	// One that was not selected may be skipped, too: then it no longer counts as down.
	const foreign = skip.find((name) => !spec.members.some((member) => member.name === name));
	if (foreign === undefined) return null;
	const names = spec.members.map((member) => member.name).join(', ');
	return refused('invalid', `'skip' names ${foreign}, which is no target of the rollout; its targets are ${names}`);
}

/** Remaining nodes are tried again under a higher attempt; running ones get a new deadline. */
function resume(
	turn: Turn,
	drive: Drive,
	open: OpenRollout,
	{ skip, user }: Extract<RolloutWord, { kind: 'resume' }>,
): void {
	const { flags, spec } = open;
	const skipped = [...new Set([...flags.skipped, ...skip])].sort();
	const stopped = flags.halted !== null || flags.paused;
	if (!stopped && skipped.length === flags.skipped.length) return;
	renewDeadlines(drive, turn.now + spec.deadlineMs);
	const attempt = flags.halted === null ? flags.attempt : flags.attempt + 1;
	const held = flags.held === 'on' ? { held: 'over' as const } : {};
	changeFlags(turn, open, {
		paused: false,
		halted: null,
		advice: undefined,
		revert: undefined,
		attempt,
		skipped,
		...held,
		...acceptHooks(open, user),
	});
}

/** To the coordinator that this node follows; again when another one is there. */
function forward(turn: Turn, pending: PendingCommand): void {
	const { state, now } = turn;
	if (pending.from !== null) return;
	const follows = state.coordination.follows();
	if (!follows || now - follows.heardAt > state.settings.leaseMs) return;
	const { leader } = follows;
	if (pending.sentTo === leader || !state.coordination.peer(leader)) return;
	pending.sentTo = leader;
	send(turn, leader, { kind: 'forward', id: pending.token, word: pending.word });
}

/** The command is repeated to the next coordinator: the last one may not have stored it. */
export function commandsAfterLostLease(state: CoreState): void {
	for (const word of state.commands) {
		word.sentTo = null;
		word.applied = null;
	}
}

/** A word that was sent over a link that died is sent again. */
export function commandsAfterLinkDown(state: CoreState, node: NodeName): void {
	for (const word of state.commands) if (word.sentTo === node) word.sentTo = null;
}

function tooLate(turn: Turn, word: PendingCommand): OperatorAnswer {
	const { state } = turn;
	if (word.word.kind === 'admit') return refused('unavailable', `${word.word.node} did not answer; try again`);
	const linked = state.members.filter(
		(member) => state.coordination.peer(member.name) || member.name === state.settings.self,
	);
	const missing = state.members.filter((member) => !linked.includes(member)).map((member) => member.name);
	const what = `${word.word.kind} of rollout ${word.word.rollout}`;
	if (word.applied)
		return refused(
			'unavailable',
			`${what} was not stored by a majority in time (missing: ${missing.join(', ') || 'answers'}); look at get_rollout${wayOut(turn, word.word.rollout)}`,
		);
	return refused(
		'unavailable',
		`${what}: no coordinator answers; this node is linked with ${linked.length - 1} of ${state.members.length - 1} peers${missing.length > 0 ? `, missing: ${missing.join(', ')}` : ''}${wayOut(turn, word.word.rollout)}`,
	);
}
