import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A package that is bundled. */
export interface Bundled {
	name: string;
	version: string;
	/** Its folder below the repository, such as node_modules/pm2. */
	folder: string;
	licence: string;
	/** Texts of its licence files. */
	licenceTexts: string[];
}

export interface Inventory {
	bundled: Bundled[];
	/** CycloneDX, without what differs from build to build. */
	sbom: Sbom;
}

export interface Sbom {
	serialNumber?: string;
	metadata: { timestamp?: string; component: { 'bom-ref': string; name: string; version: string; purl: string } };
	components: { 'bom-ref': string; name: string; version: string }[];
	dependencies: { ref: string; dependsOn: string[] }[];
}

interface Locked {
	version: string;
	dev?: boolean;
	devOptional?: boolean;
	optional?: boolean;
}

interface Description {
	name: string;
	version: string;
	license?: string | { type: string };
	licenses?: { type: string }[];
}

const sbomBytesMax = 16 * 1024 * 1024;

/**
 * What goes into the packages: every production dependency of the lock file as it is installed here, but the optional
 * ones. These are koffi and its native library: without it the packages are the same for every processor, and
 * systemd/notify-exec does its work.
 */
export function readInventory(repository: string): Inventory {
	const lock = JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8')) as {
		packages: Record<string, Locked>;
	};
	const bundled = Object.entries(lock.packages)
		.filter(([folder, { dev, devOptional, optional }]) => folder !== '' && !dev && !devOptional && !optional)
		.map(([folder, { version }]) => readBundled(repository, folder, version))
		.sort((one, other) => (one.folder < other.folder ? -1 : 1));
	const sbom = readSbom(repository, bundled);
	return { bundled, sbom };
}

const nameAndVersion = ({ name, version }: { name: string; version: string }): string => `${name}@${version}`;

function readBundled(repository: string, folder: string, locked: string): Bundled {
	const path = join(repository, folder, 'package.json');
	if (!existsSync(path)) throw new Error(`${folder} is not installed: npm ci`);
	const { name, version, license, licenses } = JSON.parse(readFileSync(path, 'utf8')) as Description;
	if (version !== locked) throw new Error(`${folder} is ${version}, package-lock.json says ${locked}: npm ci`);
	const named =
		typeof license === 'string' ? license : (license?.type ?? licenses?.map(({ type }) => type).join(' OR '));
	const licenceTexts = readLicences(join(repository, folder));
	if (!named && licenceTexts.length === 0) throw new Error(`${folder} names no licence and carries none.`);
	const licence = named || 'named in its text alone';
	return { name, version, folder, licence, licenceTexts };
}

/** Its licence files, else what its page says about the licence. */
function readLicences(folder: string): string[] {
	const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
	const read = (pattern: RegExp): string[] =>
		files
			.map(({ name }) => name)
			.filter((name) => pattern.test(name))
			.sort()
			.map((name) => readFileSync(join(folder, name), 'utf8').trim());
	const texts = read(/^(licen[cs]e|copying|notice)/i);
	if (texts.length > 0) return texts;
	return read(/^readme/i).flatMap((page) => /^#+ *licen[cs]e[\s\S]*/im.exec(page)?.[0] ?? []);
}

/** What npm lists of the bundled packages: its --omit=dev also omits what development needs as well. */
function readSbom(repository: string, bundled: readonly Bundled[]): Sbom {
	const words = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx'];
	const text = execFileSync('npm', words, { cwd: repository, encoding: 'utf8', maxBuffer: sbomBytesMax });
	const sbom = JSON.parse(text) as Sbom;
	const names = new Set(bundled.map(nameAndVersion));
	const components = sbom.components.filter((one) => names.has(nameAndVersion(one)));
	const listed = new Set(components.map(nameAndVersion));
	const missing = [...names].filter((one) => !listed.has(one));
	if (missing.length > 0) throw new Error(`npm sbom does not list ${missing.join(', ')}.`);
	const { timestamp: _, ...metadata } = sbom.metadata;
	const { serialNumber: __, ...rest } = sbom;
	const own = metadata.component['bom-ref'];
	const references = new Set([own, ...components.map((one) => one['bom-ref'])]);
	const dependencies = sbom.dependencies
		.filter(({ ref }) => references.has(ref))
		.map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => references.has(one)) }));
	// npm says the name of the folder here.
	return {
		...rest,
		metadata: { ...metadata, component: { ...metadata.component, name: 'rollcall' } },
		components,
		dependencies,
	};
}
