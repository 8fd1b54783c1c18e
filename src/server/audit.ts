import { join } from 'node:path';
import { faults, messageOf, RollcallError } from '../errors.js';
import type { Logger } from '../log.js';
import { operationsByName } from '../operations/table.js';
import type { AuditRecord, Caller } from '../operations/types.js';
import { RotatedFile } from '../system/files/rotated-file.js';
import { FailureWindow } from './access/throttle.js';

/** About six megabytes in all, or some fifteen thousand changes. */
const rotation = { bytesMax: 1024 * 1024, keep: 5 };
/** Longest text of a field or an error in a record, and most items of a list. */
const charactersMax = 256;
const itemsMax = 32;
/** Records of one caller within a minute that say only that something was refused, or that a token was made. */
const idleRecordsMax = 30;

/** The audit file of a node, in its state folder. */
export const openAudit = (stateDir: string, logger: Logger): Audit =>
	new Audit(new RotatedFile(join(stateDir, 'audit.log'), rotation), logger);

/** One request for a change, as it was answered. */
export interface Change {
	operation: string;
	caller: Caller;
	request: Readonly<Record<string, unknown>>;
	/** null: what was thrown is `thrown`. */
	answer: unknown;
	thrown: unknown;
	status: number;
}

/**
 * Records every change: in the log, and in a bounded file. The log's line comes first and does not wait for the file, so a
 * full disk behind the file silences nothing; that it does so is said, in the log and in {@link note}.
 */
export class Audit {
	readonly #file: RotatedFile;
	readonly #logger: Logger;
	/** A flood of refusals or token requests must not push other changes out of the file. */
	readonly #idle = new FailureWindow({ now: () => performance.now(), failuresMax: idleRecordsMax });
	/** Records that the file has not, since it could not be written or since one caller sent too many. */
	#leftOut = 0;
	#fault: string | null = null;

	constructor(file: RotatedFile, logger: Logger) {
		this.#file = file;
		this.#logger = logger;
	}

	record(change: Change): void {
		const { caller, operation, thrown } = change;
		const isJudged = wereFieldsJudged(change);
		this.write({
			time: Date.now(),
			user: caller.user,
			uid: caller.by === 'socket' ? caller.uid : null,
			role: caller.role,
			by: caller.by,
			from: caller.address,
			operation,
			fields: isJudged ? fieldsOf(change) : null,
			status: change.status,
			error: isJudged && thrown instanceof RollcallError ? short(thrown.message) : null,
			rollout: isJudged ? rolloutOf(change) : null,
		});
	}

	/** A change that a caller of another node asked for; that node names the caller. */
	recordOfPeer(peer: string, user: string, operation: string): void {
		this.write({
			time: Date.now(),
			user: short(user),
			uid: null,
			role: 'super_user',
			by: 'peer',
			from: peer,
			operation,
			fields: {},
			status: 200,
			error: null,
			rollout: null,
		});
	}

	/** A change requested by a signal, which has no caller. */
	recordSignal(signal: string, operation: string, { rollout, fault }: { rollout?: string; fault?: unknown }): void {
		this.write({
			time: Date.now(),
			user: signal,
			uid: null,
			role: null,
			by: 'signal',
			from: 'signal',
			operation,
			fields: null,
			status: fault === undefined ? 200 : fault instanceof RollcallError ? fault.httpStatus : faults.internal.http,
			error: fault === undefined ? null : short(messageOf(fault)),
			rollout: rollout ?? null,
		});
	}

	write(record: AuditRecord): void {
		const { time: _, ...fields } = record;
		this.#logger.info({ event: 'operation', ...fields, address: record.from }, record.operation);
		if (isIdle(record)) {
			const key = record.user ?? '';
			this.#idle.record(key);
			if (this.#idle.blockedMs(key) > 0) {
				this.#leftOut++;
				return;
			}
		}
		try {
			this.#file.append(JSON.stringify({ ...record, ...(this.#leftOut > 0 ? { left_out: this.#leftOut } : {}) }));
			this.#leftOut = 0;
			if (this.#fault !== null) this.#logger.info({ event: 'audit_written_again', file: this.#file.path });
			this.#fault = null;
		} catch (error) {
			this.#leftOut++;
			this.#notWritten(this.#file.path, messageOf(error));
		}
	}

	/** The last records of the file, oldest first, at most `limit`; a damaged line is passed over. */
	list(limit: number): AuditRecord[] {
		return this.#file.last(limit).flatMap((line) => {
			try {
				return [JSON.parse(line) as AuditRecord];
			} catch {
				return [];
			}
		});
	}

	/** What an operator should know, in a sentence; null while all is well. */
	note(): string | null {
		return this.#fault === null
			? null
			: `The audit file ${this.#file.path} cannot be written (${this.#fault}): ${this.#leftOut} changes stand in the log alone`;
	}

	close(): void {
		this.#file.close();
	}

	#notWritten(file: string, reason: string): void {
		if (this.#fault === reason) return;
		this.#fault = reason;
		this.#logger.error({ event: 'audit_not_written', file, reason }, 'changes stand in the log alone');
	}
}

/** Until they were looked at, any field may be a password in the wrong place; so may a name with which nobody could log in. */
function wereFieldsJudged({ status, operation }: Change): boolean {
	if (status < 400) return true;
	return operationsByName.get(operation)?.access !== 'anyone' && [404, 409, 503].includes(status);
}

/** Nothing was changed, or nothing but that a user with a password has a token. */
const isIdle = ({ status, operation }: AuditRecord): boolean =>
	status >= 400 || operationsByName.get(operation)?.access === 'anyone';

function fieldsOf({ operation, request }: Change): Record<string, unknown> {
	const rows = Object.entries(operationsByName.get(operation)?.fields ?? {});
	const given = rows.filter(([name]) => Object.hasOwn(request, name));
	return Object.fromEntries(
		given.map(([name, { secret }]) => [name, secret === true ? '[redacted]' : bounded(request[name])]),
	);
}

function bounded(value: unknown): unknown {
	if (typeof value === 'string') return short(value);
	return Array.isArray(value) ? value.slice(0, itemsMax).map(bounded) : value;
}

const short = (text: string): string => (text.length > charactersMax ? `${text.slice(0, charactersMax)}…` : text);

/** What the answer names, or what was asked for. */
function rolloutOf({ answer, request, operation }: Change): string | null {
	const named = typeof answer === 'object' && answer !== null && 'job_id' in answer ? answer.job_id : null;
	if (typeof named === 'string') return named;
	const id = operation.endsWith('_rollout') ? request['id'] : null;
	return typeof id === 'string' ? short(id) : null;
}
