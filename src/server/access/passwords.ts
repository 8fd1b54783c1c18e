import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import PQueue from 'p-queue';
import { RollcallError } from '../../errors.js';

/** scrypt's cost (RFC 7914): memory is 128 × 2^log2n × r bytes. */
export interface PasswordCost {
	log2n: number;
	r: number;
	p: number;
}

/** 32 MiB and three passes, one of the settings that OWASP holds equal. */
export const defaultCost: PasswordCost = { log2n: 15, r: 8, p: 3 };

const saltBytes = 16;
const hashBytes = 32;
/** Two hashes use at most 64 MiB and two cores; a caller behind {@link waitingMax} others is asked to retry. */
const concurrency = 2;
const waitingMax = 64;

export class Passwords {
	readonly #queue = new PQueue({ concurrency });
	readonly #cost: PasswordCost;
	/** Checked for unknown names, so that they take as long as known ones. */
	readonly #nobody: string;

	constructor(cost: PasswordCost = defaultCost) {
		this.#cost = cost;
		this.#nobody = format(cost, randomBytes(saltBytes), randomBytes(hashBytes));
	}

	/** The text to be stored: `scrypt$log2n$r$p$salt$hash`. */
	async hash(password: string): Promise<string> {
		const salt = randomBytes(saltBytes);
		const hash = await this.#run(() => derive(password, salt, this.#cost));
		return format(this.#cost, salt, hash);
	}

	/**
	 * True if the password is the stored one's. `stored` undefined does the same work and is false. `before` runs when the
	 * turn has come; what it throws is thrown instead of hashing.
	 */
	async check(password: string, stored: string | undefined, before: () => void): Promise<boolean> {
		const { cost, salt, hash } = parse(stored ?? this.#nobody);
		const derived = await this.#run(() => {
			before();
			return derive(password, salt, cost);
		});
		return timingSafeEqual(derived, hash) && stored !== undefined;
	}

	async #run(task: () => Promise<Buffer>): Promise<Buffer> {
		if (this.#queue.size >= waitingMax) {
			throw new RollcallError('unavailable', 'Too many logins are being checked; try again in a few seconds.');
		}
		return this.#queue.add(task);
	}
}

function derive(password: string, salt: Buffer, { log2n, r, p }: PasswordCost): Promise<Buffer> {
	const N = 2 ** log2n;
	// Node refuses more than 32 MiB by default, and the computation needs a little over its theoretical size.
	const maxmem = 128 * N * r + 128 * r * p + 1024 * 1024;
	// scrypt begins with HMAC keyed by the password, which fills it with zeros to a block: without this, zeros at its end
	// would make no difference, and a long password would equal its own hash.
	const key = createHmac('sha256', salt).update(password).digest();
	return new Promise((resolve, reject) => {
		scrypt(key, salt, hashBytes, { N, r, p, maxmem }, (error, derived) => (error ? reject(error) : resolve(derived)));
	});
}

const format = ({ log2n, r, p }: PasswordCost, salt: Buffer, hash: Buffer): string =>
	['scrypt', log2n, r, p, salt.toString('base64url'), hash.toString('base64url')].join('$');

const storedPattern = /^scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([\w-]{16,})\$([\w-]{43})$/;

export const isStoredPassword = (stored: string): boolean => storedPattern.test(stored);

function parse(stored: string): { cost: PasswordCost; salt: Buffer; hash: Buffer } {
	const [, log2n, r, p, salt, hash] = storedPattern.exec(stored) ?? [];
	if (salt === undefined || hash === undefined) throw new RollcallError('internal', 'A stored password is unreadable.');
	return {
		cost: { log2n: Number(log2n), r: Number(r), p: Number(p) },
		salt: Buffer.from(salt, 'base64url'),
		hash: Buffer.from(hash, 'base64url'),
	};
}
