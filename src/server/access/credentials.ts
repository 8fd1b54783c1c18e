import type { EventEmitter } from 'node:events';
import { RollcallError } from '../../errors.js';
import type { Caller, Logins, Transport } from '../../operations/types.js';
import { type ApiTokenStore, isApiToken, type StoredApiToken } from './api-tokens.js';
import { KeyedHash } from './hmac.js';
import type { Passwords } from './passwords.js';
import { FailureWindow } from './throttle.js';
import { type SocketUser, unknownSocketUser } from './socket-users.js';
import type { TokenIssuer } from './tokens.js';
import type { StoredUser, UserStore } from './users.js';

/** How long a checked password need not be hashed again, and how many are remembered. */
const rememberedMs = 5 * 60_000;
const rememberedMax = 1_000;

/** Told after each change of users or tokens. */
export type AccessChanges = EventEmitter<{ changed: [] }>;

export interface CredentialsParts {
	users: UserStore;
	passwords: Passwords;
	tokens: TokenIssuer;
	apiTokens: ApiTokenStore;
	changes: AccessChanges;
	/** ms on a clock that only goes forward. */
	now: () => number;
}

type TokenCaller = Pick<Extract<Caller, { generation: string }>, 'by' | 'user' | 'role' | 'generation'>;

type Verdict = { user: StoredUser; text: '' } | { user: null; text: string };

/**
 * Names the caller of a request from its Authorization header. A password that was checked is remembered for a while under a
 * keyed hash of it *and of the address it came from*: who already got in from an address still does while strangers elsewhere
 * fail on the same account, and guesses from elsewhere never reach the memory.
 */
export class Credentials implements Logins {
	readonly #users: UserStore;
	readonly #passwords: Passwords;
	readonly #tokens: TokenIssuer;
	readonly #apiTokens: ApiTokenStore;
	readonly #changes: AccessChanges;
	readonly #now: () => number;
	readonly #failures: FailureWindow;
	/** Random for each process, so that remembered values cannot be tested offline and end with the process. */
	readonly #hash = new KeyedHash();
	readonly #remembered = new Map<string, { username: string; generation: string; until: number }>();
	/** Equal credentials that come at once are checked once. */
	readonly #checking = new Map<string, Promise<Verdict>>();

	constructor(parts: CredentialsParts) {
		this.#users = parts.users;
		this.#passwords = parts.passwords;
		this.#tokens = parts.tokens;
		this.#apiTokens = parts.apiTokens;
		this.#changes = parts.changes;
		this.#now = parts.now;
		this.#failures = new FailureWindow({ now: parts.now });
	}

	/** Calls the listener after each change of users or tokens; answers the function that ends that. */
	onChange(listener: () => void): () => void {
		this.#changes.on('changed', listener);
		return () => this.#changes.off('changed', listener);
	}

	/** The contract's check 1, `socketUser`: whom the kernel names; throws or rejects with unauthenticated or throttled. At once for who needs no hashing. */
	identify(
		authorization: string | undefined,
		transport: Transport,
		address: string,
		socketUser: () => SocketUser | Promise<SocketUser> = () => unknownSocketUser,
	): Caller | Promise<Caller> {
		if (authorization === undefined) {
			if (transport === 'http') return { transport, address, by: 'nothing', user: null, role: null };
			const named = (of: SocketUser): Caller => ({ transport, address, by: 'socket', ...of, role: 'super_user' });
			const user = socketUser();
			return user instanceof Promise ? user.then(named) : named(user);
		}
		const known = this.#recall(this.#memoryKey(address, authorization), address);
		return known
			? { transport, address, by: 'basic', ...ofUser(known) }
			: this.#examine(authorization, transport, address);
	}

	async #examine(authorization: string, transport: Transport, address: string): Promise<Caller> {
		const [, scheme = '', value = ''] = /^([^ ]*) *(.*)$/s.exec(authorization) ?? [];
		switch (scheme.toLowerCase()) {
			case 'basic': {
				const user = await this.#basic(authorization, value, address);
				return { transport, address, by: 'basic', ...ofUser(user) };
			}
			case 'bearer': {
				return { transport, address, ...(await this.#bearer(value, address)) };
			}
			default:
				return { transport, address, by: 'nothing', user: null, role: null };
		}
	}

	/**
	 * The caller as the user is now. Headers come first and their body when the client likes, and whoever was dropped or
	 * demoted in between must not act by what held before; throws unauthenticated.
	 */
	asOfNow(caller: Caller): Caller {
		if (caller.by === 'nothing' || caller.by === 'socket') return caller;
		if (caller.by === 'api_token') {
			// A token is never altered: it is the same one, or gone.
			const token = this.#apiTokens.find(caller.user.slice(tokenUser('').length));
			if (token?.generation === caller.generation) return caller;
			throw new RollcallError('unauthenticated', 'invalid token');
		}
		const user = this.#users.find(caller.user);
		if (!user?.active || user.generation !== caller.generation)
			throw new RollcallError('unauthenticated', caller.by === 'basic' ? 'Login failed' : 'invalid token');
		return user.role === caller.role ? caller : { ...caller, role: user.role };
	}

	/** Whether the caller is still who he was, with the same role. */
	isAsBefore(caller: Caller): boolean {
		try {
			return this.asOfNow(caller) === caller;
		} catch {
			return false;
		}
	}

	async login(username: string, password: string, address: string): Promise<StoredUser> {
		// No header spells it so: a line cannot hold a line's end.
		const memory = this.#memoryKey(address, `\n${JSON.stringify([username, password])}`);
		return this.#recall(memory, address) ?? (await this.#check({ username, password, address, memory }));
	}

	async #basic(authorization: string, value: string, address: string): Promise<StoredUser> {
		const memory = this.#memoryKey(address, authorization);
		const pair = Buffer.from(value, 'base64').toString('utf8');
		const colon = pair.indexOf(':');
		if (colon < 0) {
			this.#fail(null, address);
			throw new RollcallError('unauthenticated', 'Login failed');
		}
		return this.#check({ username: pair.slice(0, colon), password: pair.slice(colon + 1), address, memory });
	}

	/** A token cannot be guessed, so a good one is let in however many bad ones its address has sent. */
	async #bearer(token: string, address: string): Promise<TokenCaller> {
		if (isApiToken(token)) {
			const known = this.#apiTokens.verify(token);
			if (known) return { by: 'api_token', ...ofApiToken(known) };
		} else {
			const verified = await this.#tokens.verify(token);
			if (verified) return { by: `${verified.kind}_token`, ...ofUser(verified.user) };
		}
		this.#requireOpen(null, address);
		this.#fail(null, address);
		throw new RollcallError('unauthenticated', 'invalid token');
	}

	/** Hashes equal credentials once at a time; each waiting caller gets its own error. */
	async #check(login: { username: string; password: string; address: string; memory: string }): Promise<StoredUser> {
		const { username, address, memory } = login;
		this.#requireOpen(username, address);
		let verdict = this.#checking.get(memory);
		if (!verdict) {
			verdict = this.#judge(login).finally(() => this.#checking.delete(memory));
			this.#checking.set(memory, verdict);
		}
		const { user, text } = await verdict;
		if (user) return user;
		this.#fail(username, address);
		throw new RollcallError('unauthenticated', text);
	}

	async #judge(login: { username: string; password: string; address: string; memory: string }): Promise<Verdict> {
		const before = this.#users.find(login.username);
		const matches = await this.#passwords.check(login.password, before?.password, () =>
			this.#requireOpen(login.username, login.address),
		);
		// Hashing takes a while, and what the user was when it began may be void by now.
		const user = this.#users.find(login.username);
		if (!matches || user?.password !== before?.password || !user) return { user: null, text: 'Login failed' };
		if (!user.active) return { user: null, text: 'Cannot complete request: User is inactive' };
		this.#remember(login.memory, user);
		return { user, text: '' };
	}

	#remember(memory: string, { username, generation }: StoredUser): void {
		this.#remembered.set(memory, { username, generation, until: this.#now() + rememberedMs });
		const oldest = this.#remembered.keys().next();
		if (this.#remembered.size > rememberedMax && !oldest.done) this.#remembered.delete(oldest.value);
	}

	/** Compares with the current user, so that a change applies from the next request. */
	#recall(memory: string, address: string): StoredUser | undefined {
		const remembered = this.#remembered.get(memory);
		if (!remembered) return undefined;
		const user = this.#users.find(remembered.username);
		if (!user?.active || user.generation !== remembered.generation || remembered.until <= this.#now()) {
			this.#remembered.delete(memory);
			return undefined;
		}
		return this.#failures.blockedMs(this.#failureKey('address', address)) > 0 ? undefined : user;
	}

	/** Counts a failure; the one too many is already answered as such. */
	#fail(username: string | null, address: string): void {
		if (username !== null) this.#failures.record(this.#failureKey('account', username));
		this.#failures.record(this.#failureKey('address', address));
		this.#requireOpen(username, address);
	}

	#requireOpen(username: string | null, address: string): void {
		const blockedMs = Math.max(
			username === null ? 0 : this.#failures.blockedMs(this.#failureKey('account', username)),
			this.#failures.blockedMs(this.#failureKey('address', address)),
		);
		if (blockedMs === 0) return;
		const seconds = Math.ceil(blockedMs / 1000);
		throw new RollcallError('throttled', `Too many failed logins; try again in ${seconds} s.`, {
			retryAfterSeconds: seconds,
		});
	}

	/** Names come from outside and may be long; a key is not. */
	#failureKey(kind: 'account' | 'address', name: string): string {
		return kind === 'address' ? `address ${name}` : this.#memoryKey('account', name);
	}

	#memoryKey(address: string, secret: string): string {
		return this.#hash.digest(`${address}\n${secret}`);
	}
}

/** No user's name holds a colon, so no token is ever taken for a user. */
const tokenUser = (name: string): string => `token:${name}`;

const ofApiToken = ({ name, role, generation }: StoredApiToken) => ({ user: tokenUser(name), role, generation });

const ofUser = ({ username, role, generation }: StoredUser) => ({ user: username, role, generation });
