import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { documentParts, isOfProgram } from '../cli/install/release.js';
import type { Bundled, Inventory, Sbom } from './inventory.js';

/** What both packages carry: the program as `rollcall install` puts it into a release folder. */
export interface PackageContext {
	repository: string;
	payload: string;
	version: string;
	output: string;
	/** Date of every file, in seconds since 1970. */
	epochSeconds: number;
	/** A folder that is removed in the end. */
	scratch: string;
}

const executables = ['dist/src/main.js', 'systemd/notify-exec'];

/** Fills `payload` with the program, its bundled dependencies, their SBOM and their licences. */
export function stagePayload(repository: string, payload: string, version: string, inventory: Inventory): void {
	mkdirSync(payload, { recursive: true });
	copyCompiled(join(repository, 'dist/src'), join(repository, 'src'), join(payload, 'dist/src'));
	for (const part of documentParts) cpSync(join(repository, part), join(payload, part), { recursive: true });
	for (const { folder } of inventory.bundled) copyBundled(join(repository, folder), join(payload, folder));
	writeFileSync(join(payload, 'package.json'), description(repository, version, inventory.bundled));
	writeFileSync(join(payload, 'sbom.json'), `${JSON.stringify(withVersion(inventory.sbom, version), null, '\t')}\n`);
	writeFileSync(join(payload, 'licences.txt'), licences(inventory.bundled));
	for (const path of ['', ...list(payload)]) setMode(join(payload, path), executables.includes(path));
}

/** Compiled files whose source is still there: the build leaves what a removed source was compiled to. */
function copyCompiled(compiled: string, source: string, to: string): void {
	const isOwn = (path: string): boolean => {
		const inside = relative(compiled, path);
		if (inside === 'package') return false;
		if (!isOfProgram(inside)) return false;
		// Each build makes the bundle anew; it has no sources of its own.
		if (inside === 'bundle' || inside.startsWith('bundle/')) return true;
		return statSync(path).isDirectory()
			? existsSync(join(source, inside))
			: existsSync(join(source, inside.replace(/\.([cm]?)js(\.map)?$/, '.$1ts')));
	};
	cpSync(compiled, to, { recursive: true, filter: isOwn });
}

function copyBundled(from: string, to: string): void {
	mkdirSync(dirname(to), { recursive: true });
	// Packages inside this one have lines of their own in the lock file; names with a dot are of the package's development.
	const isWanted = (name: string): boolean => name !== 'node_modules' && !name.startsWith('.');
	cpSync(from, to, { recursive: true, filter: (path) => path === from || isWanted(basename(path)) });
}

/** package.json of the packages: nothing of development, and the dependencies as they are bundled. */
function description(repository: string, version: string, bundled: readonly Bundled[]): string {
	const own = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as Record<string, unknown>;
	const { name, private: isPrivate, description, license, type, engines, bin, dependencies } = own;
	const direct = Object.keys(dependencies as object);
	const exact = bundled.filter(({ folder, name }) => folder === `node_modules/${name}` && direct.includes(name));
	const content = {
		...{ name, version, private: isPrivate, description, license, type, engines, bin },
		dependencies: Object.fromEntries(exact.map((one) => [one.name, one.version])),
		bundleDependencies: direct,
	};
	return `${JSON.stringify(content, null, '\t')}\n`;
}

function withVersion(sbom: Sbom, version: string): Sbom {
	const { 'bom-ref': ref, version: own } = sbom.metadata.component;
	const as = (text: string): string => (text === ref ? `rollcall@${version}` : text);
	return {
		...sbom,
		metadata: {
			...sbom.metadata,
			component: {
				...sbom.metadata.component,
				...{ 'bom-ref': as(ref), version, purl: sbom.metadata.component.purl.replace(own, version) },
			},
		},
		dependencies: sbom.dependencies.map((one) => ({ ...one, ref: as(one.ref) })),
	};
}

function licences(bundled: readonly Bundled[]): string {
	const head =
		'Rollcall itself is AGPL-3.0-or-later, see LICENSE. It is bundled with the packages below; each line says name, version\nand licence, the texts that the packages carry follow.';
	const lines = bundled.map(({ name, version, licence }) => `${name} ${version}: ${licence}`);
	const texts = bundled.map(({ name, version, licence, licenceTexts }) => {
		const own =
			licenceTexts.length > 0
				? licenceTexts.join('\n\n')
				: `The package has no licence file; its package.json says ${licence}.`;
		return `==== ${name} ${version}\n\n${own}`;
	});
	return `${[head, [...new Set(lines)].join('\n'), ...new Set(texts)].join('\n\n')}\n`;
}

/** Files and folders below a folder, sorted. */
export function list(folder: string): string[] {
	return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

/** The same modes whatever the umask of the one who builds. */
function setMode(path: string, isExecutable: boolean): void {
	chmodSync(path, statSync(path).isDirectory() || isExecutable ? 0o755 : 0o644);
}
