import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { messageOf, RollcallError } from '../../errors.js';
import { type ApiTokenRow, type ApiTokens, type Role, roles } from '../../operations/types.js';
import { removeLeftovers, replaceFile } from '../../system/files/replace-file.js';
import { z } from '../../zod.js';
import { readSecretFile } from './secret-file.js';

/** Prefix that tells a token from a JSON Web Token and lets secret scanners find it. */
const prefix = 'rct_';
const secretBytes = 32;
const tokenLength = prefix.length + Math.ceil((secretBytes * 4) / 3);
/** Tokens and changes that may wait at once, so that neither file nor memory grows without bound. */
const tokensMax = 1_000;
const changesWaitingMax = 32;
/** How long a token that has expired is still listed, so that it can be seen why a job is refused. */
const expiredKeptMs = 30 * 24 * 3_600_000;

/** An API token as stored: of the token itself there is only a hash, which 256 random bits make as good as the best. */
export interface StoredApiToken extends ApiTokenRow {
	hash: string;
	/** New with every token: one that takes a dropped one's name is not that one. */
	generation: string;
}

const storedTokens = z.strictObject({
	version: z.literal(1),
	tokens: z.array(
		z.strictObject({
			name: z.string().min(1),
			role: z.enum(roles),
			created_by: z.string(),
			created_at: z.int(),
			expires_at: z.int(),
			hash: z.string().length(43),
			generation: z.string().min(1),
		}),
	),
});

interface Parts {
	/** ms since 1970. */
	now: () => number;
	/** Called after each change. */
	changed: () => void;
}

/** The API tokens of this node, in `<state_dir>/tokens.json`. A change is on disk before it is seen. */
export class ApiTokenStore implements ApiTokens {
	readonly #path: string;
	readonly #parts: Parts;
	/** Changes happen one at a time: each is judged by the tokens that the one before it left. */
	readonly #changes = new PQueue({ concurrency: 1 });
	#tokens: ReadonlyMap<string, StoredApiToken> = new Map();
	#byHash: ReadonlyMap<string, StoredApiToken> = new Map();

	private constructor(path: string, parts: Parts, tokens: readonly StoredApiToken[]) {
		this.#path = path;
		this.#parts = parts;
		this.#use(new Map(tokens.map((token) => [token.name, token])));
	}

	static async open(stateDir: string, parts: Parts): Promise<ApiTokenStore> {
		const path = join(stateDir, 'tokens.json');
		await removeLeftovers(path);
		const content = await readSecretFile(path);
		return new ApiTokenStore(path, parts, content === null ? [] : parseTokens(path, content.toString('utf8')));
	}

	list(): ApiTokenRow[] {
		return [...this.#tokens.values()].map(rowOf);
	}

	/** Undefined for one that was dropped, or has expired. */
	find(name: string): StoredApiToken | undefined {
		return this.#unexpired(this.#tokens.get(name));
	}

	/** Whose token it is; undefined for any other text. */
	verify(token: string): StoredApiToken | undefined {
		return token.length === tokenLength ? this.#unexpired(this.#byHash.get(hashOf(token))) : undefined;
	}

	/** The row of `system_information` `table_size`. */
	store(): { table: string; record_count: number; table_size: number } {
		const size = Buffer.byteLength(serialize(this.#tokens));
		return { table: 'api_tokens', record_count: this.#tokens.size, table_size: size };
	}

	async create(wanted: {
		name: string;
		role: Role;
		lifetimeMs: number;
		by: string;
	}): Promise<ApiTokenRow & { token: string }> {
		const token = prefix + randomBytes(secretBytes).toString('base64url');
		const now = this.#parts.now();
		const stored: StoredApiToken = {
			name: wanted.name,
			role: wanted.role,
			created_by: wanted.by,
			created_at: now,
			expires_at: now + wanted.lifetimeMs,
			hash: hashOf(token),
			generation: randomUUID(),
		};
		await this.#change((tokens) => {
			if (this.#unexpired(tokens.get(stored.name)))
				throw new RollcallError('conflict', `Token '${stored.name}' already exists; drop it first (drop_token)`);
			if (tokens.size >= tokensMax) throw new RollcallError('conflict', `There are ${tokensMax} tokens already`);
			tokens.set(stored.name, stored);
		});
		return { ...rowOf(stored), token };
	}

	async drop(name: string): Promise<void> {
		await this.#change((tokens) => {
			if (!tokens.delete(name)) throw new RollcallError('not_found', `Token '${name}' not found`);
		});
	}

	async #change(work: (tokens: Map<string, StoredApiToken>) => void): Promise<void> {
		if (this.#changes.size >= changesWaitingMax)
			throw new RollcallError('unavailable', 'Too many changes of tokens are waiting; try again in a few seconds.');
		await this.#changes.add(async () => {
			const oldest = this.#parts.now() - expiredKeptMs;
			const tokens = new Map([...this.#tokens].filter(([, { expires_at }]) => expires_at > oldest));
			work(tokens);
			try {
				await replaceFile(this.#path, serialize(tokens));
			} catch (cause) {
				throw new RollcallError('unavailable', `${this.#path} cannot be written: ${messageOf(cause)}`, {}, { cause });
			}
			this.#use(tokens);
			this.#parts.changed();
		});
	}

	#use(tokens: ReadonlyMap<string, StoredApiToken>): void {
		this.#tokens = tokens;
		this.#byHash = new Map([...tokens.values()].map((token) => [token.hash, token]));
	}

	#unexpired(token: StoredApiToken | undefined): StoredApiToken | undefined {
		return token && token.expires_at > this.#parts.now() ? token : undefined;
	}
}

/** Whether a Bearer text claims to be an API token. */
export const isApiToken = (token: string): boolean => token.startsWith(prefix);

const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64url');

const rowOf = ({ name, role, created_by, created_at, expires_at }: StoredApiToken): ApiTokenRow => ({
	name,
	role,
	created_by,
	created_at,
	expires_at,
});

const serialize = (tokens: ReadonlyMap<string, StoredApiToken>): string =>
	`${JSON.stringify({ version: 1, tokens: [...tokens.values()] }, null, '\t')}\n`;

function parseTokens(path: string, text: string): StoredApiToken[] {
	try {
		return storedTokens.parse(JSON.parse(text)).tokens;
	} catch (cause) {
		// The parser's own message may quote the file, and the file holds hashes.
		throw new RollcallError(
			'configuration',
			`${path} is damaged, or of a later build. Start that build, put a copy of the file back, or remove it and make the tokens again.`,
			{},
			{ cause: new Error(cause instanceof z.ZodError ? 'not of the expected shape' : 'not JSON') },
		);
	}
}
