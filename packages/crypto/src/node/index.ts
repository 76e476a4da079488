export {
  ARGON2ID_LANES_MAX,
  ARGON2ID_MEMORY_KIB_MAX,
  ARGON2ID_PASSES_MAX,
  ARGON2ID_VAULT,
  type Argon2idCost,
  argon2id,
} from './argon2.ts';
export { selfTestBlake3 } from './blake3.ts';
export { createNodeCrypto, nodeCrypto, nodeCryptoIsAccelerated } from './node-crypto.ts';
export { nodeClock, nodeRandom } from './ports.ts';
export { createSealedSigner, openSealedSigner, sealedPublicKey } from './sealed-signer.ts';
export * from './signer.ts';
