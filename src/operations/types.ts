import type { Fleet } from '../fleet/types.js';
import type { SystemAttribute } from '../system/information/attributes.js';
import type { Supervisor } from '../workers/types.js';
import type { FieldSet } from './fields.js';
import type { Statuses } from './statuses.js';

/** What a caller may do, from most to least: each may all that those after it may. */
export const roles = ['super_user', 'operator', 'viewer'] as const;
export type Role = (typeof roles)[number];
export type Transport = 'http' | 'socket';

/** Who asks. The server names the caller; operations only read it. */
export type Caller = {
	transport: Transport;
	/** The address that failures are counted under: the peer's network address, or `socket`. */
	address: string;
} & (
	| { by: 'nothing'; user: null; role: null }
	/**
	 * The admin socket without an Authorization header: its file mode is the gate. `user` is the name that the kernel gives;
	 * where it gives none, `socket`, and `uid` is null.
	 */
	| { by: 'socket'; user: string; uid: number | null; role: 'super_user' }
	/** `user` is a user's name, or `token:NAME` of an API token. */
	| { by: 'basic' | 'operation_token' | 'refresh_token' | 'api_token'; user: string; role: Role; generation: string }
);

/** Who tokens are for: the user as it was when its credentials were checked. */
export interface TokenOwner {
	username: string;
	/** New with every password and every deactivation. */
	generation: string;
}

/** A user as `list_users` shows it; nothing secret. */
export interface UserRow {
	username: string;
	role: Role;
	active: boolean;
}

/** The users of this node. Refusals are RollcallErrors: not_found, conflict. Every change is on disk before it resolves. */
export interface Users {
	list(): UserRow[];
	add(user: { username: string; password: string; role: Role; active: boolean }): Promise<void>;
	alter(
		username: string,
		change: { password?: string | undefined; role?: Role | undefined; active?: boolean | undefined },
	): Promise<void>;
	drop(username: string): Promise<void>;
}

/** Checks a name and password as the Authorization header would be; throws unauthenticated, throttled, unavailable. */
export interface Logins {
	login(username: string, password: string, address: string): Promise<UserRow & TokenOwner>;
}

/** Both reject with unauthenticated when the owner was dropped, deactivated or given a new password meanwhile. */
export interface Tokens {
	/** An operation token, good for a day. */
	operation(owner: TokenOwner): Promise<string>;
	/** A refresh token, good for 30 days. */
	refresh(owner: TokenOwner): Promise<string>;
}

/** An API token as `list_tokens` shows it; nothing secret. Times in ms since 1970. */
export interface ApiTokenRow {
	name: string;
	role: Role;
	created_by: string;
	created_at: number;
	expires_at: number;
}

/** The API tokens of this node. Refusals are RollcallErrors: not_found, conflict, unavailable. Every change is on disk before it resolves. */
export interface ApiTokens {
	/** Those that have not expired. */
	list(): ApiTokenRow[];
	/** The token itself stands in this answer alone. */
	create(token: { name: string; role: Role; lifetimeMs: number; by: string }): Promise<ApiTokenRow & { token: string }>;
	drop(name: string): Promise<void>;
}

/** Who changed what, from where, and what came of it. */
export interface AuditRecord {
	/** ms since 1970. */
	time: number;
	/** As {@link Caller} has it; null: without credentials. */
	user: string | null;
	/** Over the admin socket without an Authorization header: the number of the host's user, as far as the kernel says it. */
	uid: number | null;
	role: Role | null;
	/** How the caller is known: socket, basic, operation_token, refresh_token, api_token, nothing, signal, or peer. */
	by: Caller['by'] | 'signal' | 'peer';
	/** `socket`, a network address, `signal`, or the name of the node that the caller asked. */
	from: string;
	operation: string;
	/** The request without its secrets; null if it was refused before it was parsed. */
	fields: Readonly<Record<string, unknown>> | null;
	/** As HTTP has it. */
	status: number;
	/** Why it was refused, where the text is about no secret. */
	error: string | null;
	/** The rollout that it started or steered. */
	rollout: string | null;
	/** How many records before this one stand in the log alone. */
	left_out?: number;
}

export interface SystemInformation {
	/** An object with exactly these keys, in this order. */
	information(attributes: readonly SystemAttribute[]): Promise<Partial<Record<SystemAttribute, unknown>>>;
}

/** What operations need of the node that they run on; the composition root gives it. */
export interface NodeServices {
	fleet: Fleet;
	workers: Pick<Supervisor, 'rows' | 'readiness' | 'threads'>;
	statuses: Statuses;
	users: Users;
	logins: Logins;
	tokens: Tokens;
	apiTokens: ApiTokens;
	/** The last changes, oldest first, at most `limit`. */
	audit: { list(limit: number): AuditRecord[] };
	system: SystemInformation;
}

export interface OperationContext {
	caller: Caller;
	node: NodeServices;
}

/** Something that changes until it ends: the first value, then every change. */
export interface Follow<T = unknown> {
	first: T;
	/** Calls the listener with every later value; answers the function that ends that. */
	subscribe(listener: (value: T) => void): () => void;
	/** True for the value after which none comes. */
	isLast(value: T): boolean;
}

/**
 * Who may call: an operation of a role is also one of each role that may more. `anyone` carries its own credentials,
 * `refresh_token` needs exactly that as Bearer.
 */
export type Access = Role | 'anyone' | 'refresh_token';

/** One row of the table. Built by {@link operation}, which checks the handler against the fields. */
export interface Operation {
	name: string;
	access: Access;
	/** In the order in which errors are reported. */
	fields: FieldSet;
	summary: string;
	/** It changes something: who asked for it is logged. */
	changes: boolean;
	/** JSON Schema of the 200 answer, for OpenAPI. */
	answer: Record<string, unknown>;
	/** The answer's body, or a promise of it. */
	handler(context: OperationContext, request: Readonly<Record<string, unknown>>): unknown;
	/** For callers that accept application/x-ndjson: the answer as it changes. */
	follow?(context: OperationContext, request: Readonly<Record<string, unknown>>): Follow;
	/** The same for rows without end: one is made when whoever reads has room for it, until the signal. Throws as the handler does. */
	stream?(
		context: OperationContext,
		request: Readonly<Record<string, unknown>>,
		signal: AbortSignal,
	): AsyncIterable<unknown>;
}
