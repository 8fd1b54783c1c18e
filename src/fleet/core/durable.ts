/** The fold of what a node keeps on disk: entries in the order written make a {@link DurableState}. */
import { compareEpochs } from '../../coordination/epoch.js';
import { nothingKept } from '../../coordination/quorum/state.js';
import { type EndedHere, type Ending, endedMax, type RolloutBodies } from '../../rollout/messages.js';
import type { NodeRecord, RolloutId } from '../../rollout/types.js';
import type { DurableEntry, DurableState } from './events.js';

/**
 * The version of what lies in records.log that this build understands. Its entries are the {@link DurableEntry}.
 *
 * How an entry may change, so that an earlier build can still be put back:
 * - A field, or a kind of entry, that an earlier build may pass over is just added. Such a build keeps unknown fields with
 *   the object they stand in, and unknown kinds as they are, after its own entries when it rewrites the file.
 * - Before an entry that it must not pass over comes `{kind: 'needs', version}`: a build below that version does not
 *   start on this file, and says so.
 *
 * 1: the kinds of {@link DurableEntry}; builds that knew no `needs` pass over it.
 */
export const recordsVersion = 1;

const kinds: Readonly<Record<DurableEntry['kind'], true>> = {
	boot: true,
	instance: true,
	promised: true,
	open: true,
	flags: true,
	record: true,
	ending: true,
	ended_here: true,
	unfinished: true,
	peer: true,
	heard: true,
	needs: true,
};

/** Whether this build can apply the entry; an entry of a later build is kept unchanged. */
export function isKnownEntry(entry: unknown): entry is DurableEntry {
	if (typeof entry !== 'object' || entry === null || !Object.hasOwn(entry, 'kind')) return false;
	return Object.hasOwn(kinds, String((entry as { kind: unknown }).kind));
}

/** The version that a build needs in order to continue from these entries. */
export function neededVersion(entries: readonly unknown[]): number {
	return entries.reduce<number>(
		(needed, entry) => (isKnownEntry(entry) && entry.kind === 'needs' ? Math.max(needed, entry.version) : needed),
		1,
	);
}

export function emptyDurable(): DurableState {
	return { ...nothingKept<RolloutBodies>(), records: [], unfinished: [], heard: [] };
}

/** Applies one entry in place. Every entry may be applied twice without harm, so a log may be rewritten at any time. */
export function foldEntry(state: DurableState, entry: DurableEntry): void {
	switch (entry.kind) {
		case 'boot':
			state.boot = entry.boot;
			return;
		case 'instance':
			state.instance = entry.instance;
			state.voting = entry.voting;
			return;
		case 'promised':
			if (compareEpochs(entry.epoch, state.promised) > 0) state.promised = entry.epoch;
			return;
		case 'open':
			foldOpen(state, entry);
			return;
		case 'flags': {
			const open = state.open.find((one) => one.spec.id === entry.rollout);
			if (open) foldOpen(state, { kind: 'open', spec: open.spec, flags: entry.flags });
			return;
		}
		case 'record':
			foldRecord(state, entry.record);
			return;
		case 'ending':
			foldEnding(state, entry.ending);
			return;
		case 'ended_here':
			foldEndedHere(state, entry);
			return;
		case 'unfinished':
			if (!state.unfinished.some((one) => one.id === entry.spec.id)) state.unfinished.push(entry.spec);
			return;
		case 'peer':
			state.peers[entry.node] = entry.peer;
			return;
		case 'heard':
			// Also behind entries that a build has written which did not know it.
			state.heard = [...new Set([...entry.rollouts, ...state.heard])];
			return;
		case 'needs':
			return;
	}
}

/** Beyond this those that are neither open nor kept as ended are forgotten. */
const heardMax = 4 * endedMax;

function hearOf(state: DurableState, id: RolloutId): void {
	if (state.heard.includes(id)) return;
	if (state.heard.length >= heardMax) state.heard = knownOf(state);
	state.heard.push(id);
}

function knownOf({ heard, open, ended }: DurableState): RolloutId[] {
	const known = new Set([...open.map(({ spec }) => spec.id), ...ended.map(({ rollout }) => rollout)]);
	return heard.filter((id) => known.has(id));
}

function foldOpen(state: DurableState, entry: Extract<DurableEntry, { kind: 'open' }>): void {
	if (state.ended.some((one) => one.rollout === entry.spec.id)) return;
	const at = state.open.findIndex((one) => one.spec.id === entry.spec.id);
	// Replaced, not changed: what was handed out keeps what it said.
	hearOf(state, entry.spec.id);
	const open = { spec: entry.spec, flags: entry.flags };
	if (at >= 0) state.open[at] = open;
	else state.open.push(open);
}

function foldRecord(state: DurableState, record: NodeRecord): void {
	const at = state.records.findIndex((one) => one.rollout === record.rollout);
	if (at >= 0) state.records[at] = record;
	else state.records.push(record);
	if (record.state !== 'restarting') state.unfinished = state.unfinished.filter((one) => one.id !== record.rollout);
}

function foldEnding(state: DurableState, ending: Ending): void {
	const open = state.open.find((one) => one.spec.id === ending.rollout);
	state.endedHere = state.endedHere.filter((one) => one.rollout !== ending.rollout);
	if (open) {
		state.open = state.open.filter((one) => one !== open);
		const record = state.records.find((one) => one.rollout === ending.rollout);
		if (record?.state === 'restarting') state.unfinished.push(open.spec);
	}
	const at = state.ended.findIndex((one) => one.rollout === ending.rollout);
	if (at >= 0) {
		const known = state.ended[at];
		const newer = known && ending.epoch && (!known.epoch || compareEpochs(ending.epoch, known.epoch) > 0);
		if (newer) state.ended[at] = ending;
		return;
	}
	hearOf(state, ending.rollout);
	state.ended.push(ending);
	state.ended.splice(0, state.ended.length - keptOf(state.ended));
	forgetOldRecords(state);
}

/** What had ended for this node is open again for the rest of its fleet: from here on it is both. */
function foldEndedHere(state: DurableState, { rollout, view }: EndedHere): void {
	const isForAll = state.ended.some((one) => one.rollout === rollout && one.epoch !== null);
	if (isForAll || state.endedHere.some((one) => one.rollout === rollout)) return;
	state.ended = state.ended.filter((one) => one.rollout !== rollout);
	state.endedHere.push({ rollout, view });
}

/** The endings of a hundred rollouts of a hundred nodes are far shorter; what a peer makes up must not fill the disk. */
const endedCharactersMax = 12 * 1024 * 1024;
const charactersOf = new WeakMap<Ending, number>();

/** How many of the newest endings are kept. */
function keptOf(ended: readonly Ending[]): number {
	let characters = 0;
	let kept = 0;
	for (const ending of ended.slice(-endedMax).reverse()) {
		const own = charactersOf.get(ending) ?? JSON.stringify(ending).length;
		charactersOf.set(ending, own);
		characters += own;
		if (kept > 0 && characters > endedCharactersMax) break;
		kept += 1;
	}
	return kept;
}

/** Records go with their rollouts, but a node that is out stays known as out. */
function forgetOldRecords(state: DurableState): void {
	const kept = new Set<RolloutId>([...state.open.map((one) => one.spec.id), ...state.ended.map((one) => one.rollout)]);
	state.records = state.records.filter(
		(record) => kept.has(record.rollout) || record.state === 'restarting' || record.state === 'failed',
	);
}

/** The entries that make the same state again: what a log is rewritten to when it has grown. */
export function entriesOf(state: DurableState): DurableEntry[] {
	const entries: DurableEntry[] = [{ kind: 'boot', boot: state.boot }];
	if (state.instance !== null) entries.push({ kind: 'instance', instance: state.instance, voting: state.voting });
	entries.push({ kind: 'promised', epoch: state.promised });
	entries.push({ kind: 'heard', rollouts: knownOf(state) });
	for (const [node, peer] of Object.entries(state.peers)) entries.push({ kind: 'peer', node, peer });
	for (const open of state.open) entries.push({ kind: 'open', spec: open.spec, flags: open.flags });
	for (const ending of state.ended) entries.push({ kind: 'ending', ending });
	for (const { rollout, view } of state.endedHere) entries.push({ kind: 'ended_here', rollout, view });
	for (const spec of state.unfinished) entries.push({ kind: 'unfinished', spec });
	for (const record of state.records) entries.push({ kind: 'record', record });
	return entries;
}
