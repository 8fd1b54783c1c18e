import assert from 'node:assert/strict';
import {
	constants,
	existsSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	statSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { damagedFilesKept, openRecordLog, type RecordLog } from '../../../src/fleet/shell/record-log.js';

describe('record log', () => {
	let folder: string;
	let file: string;
	const opened: RecordLog[] = [];

	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), 'rc-rec-'));
		file = join(folder, 'state', 'records.log');
	});
	afterEach(async () => {
		for (const log of opened.splice(0)) await log.close();
		rmSync(folder, { recursive: true, force: true });
	});
	async function reopen(): Promise<RecordLog> {
		for (const log of opened.splice(0)) await log.close();
		const log = await openRecordLog(file);
		opened.push(log);
		return log;
	}

	it('gives back in order what was appended, with nobody else able to read it', async () => {
		const log = await reopen();
		await Promise.all([log.append([{ n: 1 }, { n: 2 }]), log.append([{ n: 3 }]), log.append([{ n: 4, text: 'ä\n' }])]);
		await log.append([{ n: 5 }]);
		assert.deepEqual(log.size().entries, 5);
		assert.equal(statSync(file).mode & 0o777, 0o600);
		assert.equal(statSync(join(folder, 'state')).mode & 0o777, 0o700);
		const again = await reopen();
		assert.deepEqual(again.recovered, [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4, text: 'ä\n' }, { n: 5 }]);
		assert.equal(again.damage, null);
	});

	it('a file that needs a later build is refused by name and left as it is', async () => {
		const log = await reopen();
		await log.append([{ kind: 'boot', boot: 1 }, { kind: 'needs', version: 1 }, { kind: 'weather' }]);
		assert.equal((await reopen()).recovered.length, 3, 'what may be passed over is no hindrance');
		await opened[0]?.append([{ kind: 'needs', version: 2 }, { kind: 'weather' }]);
		await opened.splice(0)[0]?.close();
		const before = readFileSync(file);
		const refusal = /records\.log was written by a later build: it needs version 2 of the records, this build knows 1/;
		await assert.rejects(openRecordLog(file), { code: 'unavailable', message: refusal });
		assert.deepEqual(readFileSync(file), before);
	});

	it('appends of one moment share a sync', async () => {
		const log = await reopen();
		await Promise.all(Array.from({ length: 200 }, (_, n) => log.append([n])));
		assert.ok(log.syncs().length <= 3, `200 appends took ${log.syncs().length} syncs`);
	});

	it('cut at every byte and flipped at every byte, it opens and holds nothing but a beginning of what was written', async () => {
		const log = await reopen();
		for (let n = 0; n < 4; n++) await log.append([{ n }]);
		await log.close();
		opened.splice(0);
		const whole = readFileSync(file);
		const written = [{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }];
		for (let at = 0; at < whole.length; at++) {
			for (const damaged of [whole.subarray(0, at), flip(whole, at)]) {
				writeFileSync(file, damaged);
				const { recovered, damage } = await reopen();
				assert.deepEqual(recovered, written.slice(0, recovered.length));
				assert.equal(damage === null, damaged.length === Math.ceil(recovered.length * (whole.length / 4)));
				assert.equal(
					damage?.forgotten ?? false,
					damage !== null && (recovered.length === 0 || (damaged.length === whole.length && recovered.length < 3)),
				);
			}
		}
		const kept = readdirSync(join(folder, 'state')).filter((name) => name.includes('damaged'));
		assert.equal(kept.length, damagedFilesKept);
	});

	it('goes on after a torn tail, and the tear is kept aside', async () => {
		const log = await reopen();
		await log.append(['a']);
		await log.append(['b']);
		await log.close();
		truncateSync(file, statSync(file).size - 3);
		const torn = await reopen();
		assert.deepEqual(torn.recovered, ['a']);
		assert.equal(torn.damage?.forgotten, false);
		assert.equal(statSync(torn.damage?.keptAs ?? '').size > 0, true);
		await torn.append(['c']);
		assert.deepEqual((await reopen()).recovered, ['a', 'c']);
	});

	it('a write returns when it is on disk: the file is open for synchronous writes', async () => {
		await reopen();
		const holders = readdirSync('/proc/self/fd').filter((fd) => existsSync(`/proc/self/fd/${fd}`));
		const flags = holders
			.filter((fd) => readlinkSync(`/proc/self/fd/${fd}`) === file)
			.map((fd) => /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '');
		assert.ok(flags.length > 0);
		for (const octal of flags) assert.ok((Number.parseInt(octal, 8) & constants.O_DSYNC) !== 0, octal);
	});

	it('a full disk refuses the append, leaves no half of it, and is tried again', async () => {
		const disk = { left: Number.POSITIVE_INFINITY, syncFails: false, readOnly: false };
		const log = await openRecordLog(file, (path, flags, mode) => failingDisk(path, flags, mode, disk));
		opened.push(log);
		await log.append(['a']);
		disk.left = 7;
		await assert.rejects(log.append(['b']), { code: 'unavailable', message: /only 7 of \d+ bytes fit/ });
		disk.left = 0;
		await assert.rejects(log.append(['c']), { code: 'unavailable', message: /no space left.*free space/ });
		disk.readOnly = true;
		const readOnly = { code: 'unavailable', message: /records\.log .*EROFS.*mount it writable again, then restart/ };
		await assert.rejects(log.append(['c']), readOnly);
		await assert.rejects(log.reread(), readOnly);
		disk.readOnly = false;
		disk.left = Number.POSITIVE_INFINITY;
		disk.syncFails = true;
		await assert.rejects(log.append(['d']), { code: 'unavailable', message: /input\/output error/ });
		disk.syncFails = false;
		assert.deepEqual(await log.reread(), ['a']);
		await log.append(['e']);
		assert.deepEqual((await reopen()).recovered, ['a', 'e']);
	});

	it('a rewrite replaces everything at once, and appends go on behind it', async () => {
		const log = await reopen();
		for (let n = 0; n < 50; n++) await log.append([{ n }]);
		const appended = [log.rewrite([{ all: true }]), log.append([{ later: 1 }])];
		await Promise.all(appended);
		await log.append([{ later: 2 }]);
		assert.deepEqual(log.size().entries, 3);
		assert.deepEqual((await reopen()).recovered, [{ all: true }, { later: 1 }, { later: 2 }]);
		assert.deepEqual(readdirSync(join(folder, 'state')), ['records.log']);
	});

	it('what is appended after a rewrite whose file could not be opened again is kept', async () => {
		let failures = 0;
		const log = await openRecordLog(file, async (path, flags, mode) => {
			if (failures > 0 && failures-- > 0) throw new Error('EMFILE: too many open files');
			return open(path, flags, mode);
		});
		opened.push(log);
		await log.append(['a', 'b']);
		failures = 2;
		await assert.rejects(log.rewrite(['ab']), { code: 'unavailable', message: /too many open files/ });
		await assert.rejects(log.append(['c']), { code: 'unavailable' });
		await log.append(['d']);
		assert.deepEqual(log.size().entries, 2);
		assert.deepEqual(await log.reread(), ['ab', 'd']);
		assert.deepEqual((await reopen()).recovered, ['ab', 'd']);
	});
});

async function failingDisk(
	path: string,
	flags: number,
	mode: number,
	disk: { left: number; syncFails: boolean; readOnly: boolean },
): Promise<FileHandle> {
	const handle = await open(path, flags, mode);
	const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<{ bytesWritten: number; buffer: Buffer }>;
	const cut = handle.truncate.bind(handle);
	const assertWritable = (): void => {
		if (disk.readOnly) throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
	};
	return Object.assign(handle, {
		truncate: async (bytes: number) => {
			assertWritable();
			await cut(bytes);
		},
		write: async (buffer: Buffer, offset: number, length: number, position: number) => {
			assertWritable();
			if (disk.left === 0) throw new Error('ENOSPC: no space left on device');
			const written = await write(buffer, offset, Math.min(length, disk.left), position);
			if (disk.syncFails) throw new Error('EIO: input/output error');
			return written;
		},
	}) as FileHandle;
}

function flip(bytes: Buffer, at: number): Buffer {
	const copy = Buffer.from(bytes);
	copy[at] = (copy[at] ?? 0) ^ 0x01;
	return copy;
}
