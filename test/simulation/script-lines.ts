/** What a node does, as lines that a reader of the protocol understands; null: not worth a line. */
import type { CoreEffect, DurableEntry, PeerMessage } from '../../src/fleet/core/events.js';
import type { Version, NackReason, OpenRollout, RolloutFlags } from '../../src/rollout/messages.js';
import type { NodeRecord, RolloutView } from '../../src/rollout/types.js';
import { textOf } from './evidence.js';

const versionText = ({ epoch, n }: Version): string => `${epoch ? textOf(epoch) : 'own'}/${n}`;

/** The flags that differ from those of a rollout that has just begun. */
function flagsText({ version, attempt, skipped, left, paused, aborting, halted, held }: RolloutFlags): string {
	const said = [`version ${versionText(version)}`];
	if (attempt > 1) said.push(`attempt ${attempt}`);
	if (skipped.length > 0) said.push(`skipped: ${skipped.join(' ')}`);
	if (left.length > 0) said.push(`left: ${left.join(' ')}`);
	if (paused) said.push('paused');
	if (aborting) said.push('aborting');
	if (halted !== null) said.push('halted');
	if (held !== undefined) said.push(`hold ${held}`);
	return said.join(', ');
}

const openText = ({ spec, flags }: OpenRollout): string => `${spec.id} (${flagsText(flags)})`;
const recordText = (record: NodeRecord): string => `"${record.state}" in ${record.rollout}, attempt ${record.attempt}`;
const endingText = ({ id, state, reason }: RolloutView): string =>
	`${id} ${state}${reason === null ? '' : `: ${reason}`}`;

function nackText(reason: NackReason): string {
	if (reason.kind === 'conflict') return `${reason.rollout} runs`;
	if (reason.kind === 'left') return `it has left by ${reason.rollout}`;
	if (reason.kind === 'live') return `${reason.coordinator} is live`;
	if (reason.kind === 'stranger') return 'it does not vote yet';
	return reason.kind === 'promised' ? 'it has promised a higher epoch' : 'other members';
}

/** What an entry on disk says. Boots, instances and known peers are left out. */
export function entryLine(entry: DurableEntry): string | null {
	switch (entry.kind) {
		case 'promised':
			return `stores its promise of ${textOf(entry.epoch)}`;
		case 'open':
			return `stores ${openText(entry)}`;
		case 'flags':
			return `stores ${entry.rollout} (${flagsText(entry.flags)})`;
		case 'record':
			return `stores its record: ${recordText(entry.record)}`;
		case 'ending':
			return `stores the end: ${endingText(entry.ending.view)}`;
		case 'ended_here':
			return `stores that ${entry.rollout} ended on it alone`;
		default:
			return null;
	}
}

/** Greetings, heartbeats, reports and views are left out: they come all the time. */
export function messageText(message: PeerMessage): string | null {
	switch (message.kind) {
		case 'prepare':
			return `prepare ${textOf(message.epoch)} (${message.purpose})`;
		case 'promise': {
			const known = message.open.map((one) => `knows ${openText(one)}`);
			const own = message.report.records.map((one) => `own record: ${recordText(one)}`);
			return [`promise ${textOf(message.epoch)}`, ...known, ...own].join('; ');
		}
		case 'nack':
			return `refusal of ${textOf(message.epoch)}: ${nackText(message.reason)}`;
		case 'store': {
			const ended = message.ended.map((one) => `end of ${one.rollout}`);
			return `store ${[...message.open.map(openText), ...ended].join(', ')}`;
		}
		case 'check':
			return `check your file for ${message.rollout}`;
		case 'checked':
			return `checked: ${message.result.fault ?? 'no fault'}`;
		case 'restart':
			return `begin your step of ${message.rollout}, attempt ${message.attempt}`;
		case 'handover':
			return `take over the lease (${message.rollout})`;
		case 'forward':
			return `forward ${message.word.kind}`;
		case 'answer':
			return `answer: ${message.answer.ok ? 'done' : message.answer.refusal.message}`;
		case 'ended':
			return `ended: ${message.endings.map((one) => one.rollout).join(' ')}`;
		default:
			return null;
	}
}

/** The other effects: steps, answers, the lease, grants. */
export function effectLine(effect: CoreEffect): string | null {
	switch (effect.kind) {
		case 'run_step':
			return `${effect.recovered ? 'continues' : 'begins'} its step of ${effect.spec.id}, attempt ${effect.attempt}`;
		case 'answer':
			return `answers: ${effect.view ? `${effect.view.id} is ${effect.view.state}` : 'done'}`;
		case 'refuse':
			return `refuses: ${effect.refusal.message}`;
		case 'note':
			return noteLine(effect);
		default:
			return null;
	}
}

function noteLine({ event, fields }: Extract<CoreEffect, { kind: 'note' }>): string | null {
	switch (event) {
		case 'takeover':
			return 'hears no coordinator and asks for the lease';
		case 'lease_held':
			return `HOLDS THE LEASE ${fields['epoch']}`;
		case 'lease_lost':
			// It knows no higher epoch; it has ended the rollout on itself alone.
			if (fields['epoch'] === fields['to']) return `gives up the lease ${fields['epoch']}`;
			return `loses the lease ${fields['epoch']} to ${fields['to']}`;
		case 'step_granted':
			return `grants ${fields['node']} its step of ${fields['rollout']}, attempt ${fields['attempt']}`;
		case 'handover':
			return `asks ${fields['to']} to take over the lease`;
		case 'command_refused':
			return `refuses a command of ${fields['from']}`;
		default:
			return null;
	}
}
