import type { Logger } from '../../log.js';
import type { NodeName } from '../../rollout/types.js';
import { LastReport } from './last-report.js';
import { incoherence } from './message-invariants.js';
import { type FleetMessage, messageKinds, peerMessage } from '../messages.js';
import { inVersion, unspoken } from './message-versions.js';
import { parseFrame, protocolVersions, spokenWith, type VersionRange } from './handshake.js';

/** What one frame came to. */
export type Received =
	| { kind: 'message'; message: FleetMessage }
	/** A message of a later version than this build knows; the link stays open. */
	| { kind: 'ignored' }
	/** The link has to be closed. */
	| { kind: 'fault'; reason: string };

/** Kinds whose names are remembered for each link, so that a peer cannot fill memory or log. */
const ignoredKindsMax = 16;

interface Dialect {
	range: VersionRange;
	ignored: number;
	/** Those that the log has named. */
	kinds: Set<string>;
	lastReport: LastReport;
}

/** Turns frames into messages and messages into frames, for each link in the version that it speaks. */
export class Frames {
	readonly #dialects = new Map<NodeName, Dialect>();
	/** A message to all peers is serialised once. Messages are not modified after they are sent. */
	#last: { message: FleetMessage; version: number; text: string | null } | null = null;

	constructor(private readonly logger: Pick<Logger, 'info'>) {}

	/** A link to this peer is live. */
	begin(peer: NodeName, range: VersionRange): void {
		this.#dialects.set(peer, { range, ignored: 0, kinds: new Set(), lastReport: new LastReport() });
	}

	end(peer: NodeName): void {
		const dialect = this.#dialects.get(peer);
		this.#dialects.delete(peer);
		if (dialect && dialect.ignored > 0)
			this.logger.info({ event: 'peer_messages_ignored', peer, count: dialect.ignored });
	}

	read(peer: NodeName, text: string): Received {
		const lastReport = this.#dialects.get(peer)?.lastReport;
		const again = lastReport?.read(text);
		if (again) return { kind: 'message', message: again };
		const parsed = parseFrame(peerMessage, text);
		if (!parsed.ok) return this.#ignores(peer, text) ? { kind: 'ignored' } : { kind: 'fault', reason: parsed.reason };
		lastReport?.keep(text, parsed.value);
		const reason = incoherence(peer, parsed.value);
		return reason === null ? { kind: 'message', message: parsed.value } : { kind: 'fault', reason };
	}

	/** null: the version that the peer speaks has no such message. */
	write(peer: NodeName, message: FleetMessage): string | null {
		const dialect = this.#dialects.get(peer);
		const version = dialect ? spokenWith(dialect.range) : protocolVersions.max;
		const last = this.#last;
		if (last?.message === message && last.version === version) return last.text;
		const text = textIn(version, message);
		this.#last = { message, version, text };
		return text;
	}

	/** A well-formed message of a kind that is unknown here, from a peer that speaks a later version. */
	#ignores(peer: NodeName, text: string): boolean {
		const dialect = this.#dialects.get(peer);
		if (!dialect || dialect.range.max <= protocolVersions.max) return false;
		const kind = kindOf(text);
		if (kind === null || messageKinds.has(kind)) return false;
		dialect.ignored += 1;
		if (dialect.kinds.has(kind) || dialect.kinds.size >= ignoredKindsMax) return true;
		dialect.kinds.add(kind);
		const { min, max } = dialect.range;
		this.logger.info({ event: 'peer_message_ignored', peer, kind, speaks: `${min} to ${max}` });
		return true;
	}
}

function textIn(version: number, message: FleetMessage): string | null {
	if (version === protocolVersions.max) return JSON.stringify(message);
	const spoken = inVersion(version, peerMessage, message);
	return spoken === unspoken ? null : JSON.stringify(spoken);
}

/** The name of a kind, as messages have it. */
const kindPattern = /^[a-z][a-z_]{0,31}$/;

function kindOf(text: string): string | null {
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'kind')) return null;
		const { kind } = value as { kind: unknown };
		return typeof kind === 'string' && kindPattern.test(kind) ? kind : null;
	} catch {
		return null;
	}
}
