import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { RollcallError } from '../../errors.js';
import type { TokenOwner, Tokens } from '../../operations/types.js';
import { removeLeftovers, replaceFile } from '../../system/files/replace-file.js';
import { readSecretFile } from './secret-file.js';
import type { StoredUser, UserStore } from './users.js';

export type TokenKind = 'operation' | 'refresh';

const lifetimeSeconds: Readonly<Record<TokenKind, number>> = { operation: 24 * 3600, refresh: 30 * 24 * 3600 };
const keyBytes = 32;
/** A header holds at most 16 KiB; a token of ours is far below this. */
const tokenLengthMax = 4096;
const issuer = 'rollcall';
/** Loaded when the first token comes: few daemons see one, and every start would wait for it. */
const loadJose = () => import('jose');

/** JSON Web Tokens under a key that only this node has, in `<state_dir>/token.key`. */
export class TokenIssuer implements Tokens {
	readonly #key: Uint8Array;
	readonly #users: UserStore;
	/** ms since 1970. */
	readonly #now: () => number;

	private constructor(key: Uint8Array, users: UserStore, now: () => number) {
		this.#key = key;
		this.#users = users;
		this.#now = now;
	}

	static async open(stateDir: string, users: UserStore, now: () => number): Promise<TokenIssuer> {
		const path = join(stateDir, 'token.key');
		await removeLeftovers(path);
		let key = await readSecretFile(path);
		if (key === null) {
			key = randomBytes(keyBytes);
			await replaceFile(path, key);
		}
		if (key.length !== keyBytes) {
			throw new RollcallError(
				'configuration',
				`${path} is damaged: ${keyBytes} bytes were expected, ${key.length} came. Remove it; all tokens are void then.`,
			);
		}
		return new TokenIssuer(new Uint8Array(key), users, now);
	}

	operation(owner: TokenOwner): Promise<string> {
		return this.#issue(owner, 'operation');
	}

	refresh(owner: TokenOwner): Promise<string> {
		return this.#issue(owner, 'refresh');
	}

	/** Whose token it is; null if it is none of ours, has expired, or its user was dropped, deactivated or has a new password. */
	async verify(token: string): Promise<{ kind: TokenKind; user: StoredUser } | null> {
		if (token.length > tokenLengthMax) return null;
		const { jwtVerify } = await loadJose();
		try {
			const { payload } = await jwtVerify(token, this.#key, {
				algorithms: ['HS256'],
				issuer,
				requiredClaims: ['exp', 'sub'],
				currentDate: new Date(this.#now()),
			});
			const user = this.#users.find(payload.sub ?? '');
			const { kind, generation } = payload;
			if (!user?.active || user.generation !== generation) return null;
			return kind === 'operation' || kind === 'refresh' ? { kind, user } : null;
		} catch {
			return null;
		}
	}

	/** What was checked a moment ago may be void by now, and must not become a token of what took its place. */
	async #issue({ username, generation }: TokenOwner, kind: TokenKind): Promise<string> {
		const user = this.#users.find(username);
		if (!user?.active || user.generation !== generation) throw new RollcallError('unauthenticated', 'Login failed');
		const { SignJWT } = await loadJose();
		const now = Math.floor(this.#now() / 1000);
		return new SignJWT({ kind, generation })
			.setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
			.setIssuer(issuer)
			.setSubject(username)
			.setIssuedAt(now)
			.setExpirationTime(now + lifetimeSeconds[kind])
			.sign(this.#key);
	}
}
